package postgres

import (
	"fmt"
	"strings"
)

// valueError is a value that a column does not take: what is wrong with it, and the SQLSTATE that PostgreSQL would give. It follows the column's name.
type valueError struct{ sqlState, reason string }

func (e *valueError) Error() string { return e.reason }

// check refuses a row with a value that its column does not take. The database would too, but not for free: it refuses the whole statement, and finding the row takes some round trips. Whoever may write
// the status of a resource can send a thousand such rows, and all others would wait for them.
func (t *table) check(values []any) error {
	for i := range t.columns {
		if err := t.columns[i].check(values[i]); err != nil {
			return fmt.Errorf("%s %w", t.columns[i].name, err)
		}
	}
	return nil
}

func (c *column) check(value any) error {
	switch v := value.(type) {
	case nil:
		if c.required {
			return &valueError{"23502", "is missing, expected a value"}
		}
	case int64:
		if bound := int64(1) << (c.bits - 1); c.bits < 64 && (v < -bound || v >= bound) {
			return &valueError{"22003", fmt.Sprintf("is %d, expected %d to %d", v, -bound, bound-1)}
		}
	case string:
		switch {
		case c.cast == "::jsonb":
			return checkJSON(v)
		case c.exceeded(v):
			return c.tooLong(v)
		case strings.IndexByte(v, 0) >= 0:
			return &valueError{"22021", "has a NUL character (0x00), which PostgreSQL cannot store"}
		}
	}
	return nil
}

// checkJSON refuses what JSONB does not take of valid JSON in canonical form, whose numbers are doubles.
func checkJSON(text string) error {
	for rest := text; ; {
		at := strings.Index(rest, `\u0000`)
		if at < 0 {
			return nil
		}
		before := rest[:at]
		if backslashes := len(before) - len(strings.TrimRight(before, `\`)); backslashes%2 == 0 {
			return &valueError{"22P05", `has a NUL character (\u0000), which JSONB cannot store`}
		}
		rest = rest[at+1:] // a backslash that is escaped, and a text after it
	}
}
