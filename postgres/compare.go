package postgres

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Difference is a column that differs from its entry. Want and Have are JSON.
type Difference struct {
	Column, Want, Have string
}

func (d Difference) String() string {
	return fmt.Sprintf("%s is %s, but the entry has %s", d.Column, outbox.Bound(d.Have, 200), outbox.Bound(d.Want, 200))
}

// Compare holds a row that was read (Stored.Columns) against the row that its entry makes. recordOnly leaves out the envelope, which the entry of a row that was
// posted over REST does not have. The column entry itself is not in Stored.Columns; columns that this release does not know are passed over.
func (s *Store) Compare(want models.Row, columns string, recordOnly bool) ([]Difference, error) {
	var have map[string]json.RawMessage
	if err := json.Unmarshal([]byte(columns), &have); err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", want.Table(), err)
	}
	var found []Difference
	for _, c := range s.tables[want.Table()].columns {
		if c.name == "entry" || recordOnly && c.envelope() {
			continue
		}
		value, err := c.value(reflect.ValueOf(want).Elem())
		if err != nil { // Persist would have made it a dead letter
			found = append(found, Difference{Column: c.name, Want: "a value that does not fit the column: " + err.Error(), Have: string(have[c.name])})
			continue
		}
		if same(c, value, have[c.name]) {
			continue
		}
		text, err := toJSON(c, value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		found = append(found, Difference{Column: c.name, Want: text, Have: string(have[c.name])})
	}
	return found, nil
}

// envelope reports whether the column is of models.Envelope, which every row embeds first.
func (c *column) envelope() bool { return c.field.Index[0] == 0 }

// same compares a value with PostgreSQL's to_jsonb of the column.
func same(c column, want any, have json.RawMessage) bool {
	if want == nil || have == nil || string(have) == "null" {
		return want == nil && string(have) == "null"
	}
	switch want := want.(type) {
	case int64:
		return string(have) == strconv.FormatInt(want, 10)
	case float64:
		f, err := strconv.ParseFloat(string(have), 64)
		return err == nil && f == want
	case bool:
		return string(have) == strconv.FormatBool(want)
	}
	if c.cast == "::jsonb" {
		wantText, haveText := jsontext.Value(want.(string)), jsontext.Value(bytes.Clone(have))
		return wantText.Canonicalize() == nil && haveText.Canonicalize() == nil && bytes.Equal(wantText, haveText)
	}
	var text string
	if json.Unmarshal(have, &text) != nil {
		return false
	}
	switch want := want.(type) {
	case string:
		return text == want
	case [16]byte:
		return text == uuid.UUID(want).String()
	case []byte:
		return text == `\x`+hex.EncodeToString(want)
	case time.Time:
		got, err := parseTime(text)
		return err == nil && got.Equal(want)
	}
	return false
}

// parseTime reads PostgreSQL's ISO 8601, where the year before 1 is written as 0001 BC.
func parseTime(text string) (time.Time, error) {
	iso, bc := strings.CutSuffix(text, " BC")
	t, err := time.Parse(time.RFC3339Nano, iso)
	if bc {
		t = time.Date(1-t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
	}
	return t, err
}

func toJSON(c column, value any) (string, error) {
	switch v := value.(type) {
	case [16]byte:
		return encodeJSON(uuid.UUID(v))
	case []byte:
		return encodeJSON(`\x` + hex.EncodeToString(v))
	case string:
		if c.cast == "::jsonb" {
			return v, nil
		}
	}
	return encodeJSON(value)
}
