package api

import (
	"bytes"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// TimeLayout is how a Time is written: RFC 3339 in UTC with six fractional digits.
const TimeLayout = "2006-01-02T15:04:05.000000Z"

// Time is an instant in UTC, in whole microseconds. The zero value means "not set" and is written as null.
//
// metav1.Time has whole seconds, so two changes within a second tie. metav1.MicroTime insists on six fractional digits when it reads,
// so a value that Alertmanager sent ("…06Z", or nanoseconds) breaks the list of a whole kind. PostgreSQL's timestamptz holds
// microseconds. Time reads every RFC 3339 time, and always writes the same 27 characters, so that what was hashed, what etcd holds and
// what PostgreSQL returns are one value.
//
// The schema is a pattern that takes exactly what ParseTime reads, in the years 1000 to 2999: one value that Go cannot read would break the
// list of the whole kind, and beyond these years an offset can make the zero value, or a year that RFC 3339 cannot write. The format
// date-time would not do: for it the API server (1.37) also takes an empty list, and offsets that no clock has. A CEL rule would not do
// either: its cost forbids times in lists without a bound.
//
// +kubebuilder:validation:Type=string
// +kubebuilder:validation:MaxLength=64
// +kubebuilder:validation:Pattern=`^([12][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|([12][0-9](0[48]|[2468][048]|[13579][26])|(12|16|20|24|28)00)-02-29)[Tt]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,30})?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$`
type Time struct {
	time.Time `json:"-"`
}

// NewTime cuts t to microseconds and moves it to UTC.
func NewTime(t time.Time) Time {
	if t.IsZero() {
		return Time{}
	}
	return Time{t.UTC().Truncate(time.Microsecond)}
}

// NewTimePointer is NewTime for optional fields: nil for the zero time.
func NewTimePointer(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	m := NewTime(t)
	return &m
}

// ParseTime reads any RFC 3339 time: with or without a fraction, with any offset, with T and Z in lower case too (section 5.6), which package
// time refuses. What is finer than a microsecond is cut off.
func ParseTime(s string) (Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.ToUpper(s))
	if err != nil {
		return Time{}, fmt.Errorf("time %q: expected RFC 3339, as in %q", s, TimeLayout)
	}
	return NewTime(t), nil
}

// String is the written form, or "" for the zero value.
func (t Time) String() string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(TimeLayout)
}

// Sub is the duration from earlier to t; zero when either is not set.
func (t *Time) Sub(earlier *Time) time.Duration {
	if t == nil || earlier == nil || t.IsZero() || earlier.IsZero() {
		return 0
	}
	return t.Time.Sub(earlier.Time)
}

// Equal compares instants; two pointers that are nil are equal.
func (t *Time) Equal(other *Time) bool {
	if t == nil || other == nil {
		return t == other
	}
	return t.Time.Equal(other.Time)
}

// MarshalJSON writes the layout, or null for the zero value.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	if y := t.UTC().Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("time: year %d is outside of RFC 3339", y)
	}
	return []byte(`"` + t.String() + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time, or null.
func (t *Time) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*t = Time{}
		return nil
	}
	s := string(b)
	if n := len(b); n >= 2 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 {
		s = s[1 : n-1] // no time has escapes; what is no time is refused below
	} else if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("time %s: expected a string in RFC 3339", b)
	}
	parsed, err := ParseTime(s)
	if err != nil {
		return err
	}
	*t = parsed
	return nil
}

// Value hands the instant to a database driver; NULL for the zero value.
func (t Time) Value() (driver.Value, error) {
	if t.IsZero() {
		return nil, nil
	}
	return t.UTC(), nil
}

// Scan reads a timestamptz.
func (t *Time) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*t = Time{}
	case time.Time:
		*t = NewTime(v)
	case string:
		return t.scanText(v)
	case []byte:
		return t.scanText(string(v))
	default:
		return fmt.Errorf("time: cannot scan a %T, expected timestamptz", src)
	}
	return nil
}

func (t *Time) scanText(s string) error {
	// PostgreSQL's text form, which bun hands over as it came.
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999Z07", "2006-01-02 15:04:05.999999Z07:00"} {
		if v, err := time.Parse(layout, s); err == nil {
			*t = NewTime(v)
			return nil
		}
	}
	return fmt.Errorf("time %q: expected a timestamptz", s)
}

// DeepCopyInto copies the value; a time has no parts that are shared.
func (t *Time) DeepCopyInto(out *Time) { *out = *t }

// DeepCopy is DeepCopyInto into a new value.
func (t *Time) DeepCopy() *Time {
	if t == nil {
		return nil
	}
	out := *t
	return &out
}
