package postgres

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// table is how one kind of row goes to the database, read from the tags of package models.
type table struct {
	name    string
	columns []column
	// insert and lookUp are the statements: rows as one array a column, ids as one array.
	insert, lookUp string
}

// column is one of a table's. Its array is the type of the bound parameter: wide types, so that it is the column that refuses what does not fit, with a SQLSTATE.
type column struct {
	name  string
	field *schema.Field
	array string
	cast  string
	// limit is n of VARCHAR(n), else 0; bits is the size of an integer; required is true for NOT NULL.
	limit    int
	bits     int
	required bool
}

// describe reads the columns from bun's model of the row.
func describe(db *bun.DB, row models.Row) (*table, error) {
	t := &table{name: row.Table()}
	model := nameTable(db, row, t.name)
	for _, field := range model.Fields {
		if field.Name == "created_at" {
			continue // the database's
		}
		c := column{name: field.Name, field: field, bits: bitsOf(field), required: field.NotNull}
		var err error
		if c.array, c.cast, err = arrayType(field); err != nil {
			return nil, fmt.Errorf("table %s: %w", t.name, err)
		}
		if inner, ok := strings.CutPrefix(field.UserSQLType, "varchar("); ok {
			if c.limit, err = strconv.Atoi(strings.TrimSuffix(inner, ")")); err != nil {
				return nil, fmt.Errorf("table %s: type of %s: %w", t.name, field.Name, err)
			}
		}
		t.columns = append(t.columns, c)
	}
	var names, selected, arrays []string
	for i, c := range t.columns {
		names = append(names, string(c.field.SQLName))
		selected = append(selected, string(c.field.SQLName)+c.cast)
		arrays = append(arrays, fmt.Sprintf("$%d::%s", i+1, c.array))
	}
	t.insert = fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS r(%s) ON CONFLICT DO NOTHING RETURNING id",
		t.name, strings.Join(names, ", "), strings.Join(selected, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "))
	t.lookUp = fmt.Sprintf("SELECT id, entry_hash FROM %s WHERE id = ANY($1::uuid[])", t.name)
	return t, nil
}

// bitsOf is the size of an integer in the column, if it has one: INTEGER, unless its type says otherwise.
func bitsOf(field *schema.Field) int {
	switch field.UserSQLType {
	case "smallint":
		return 16
	case "bigint":
		return 64
	}
	return 32
}

// nameTable gives bun the name of a model's table. Package models cannot: that takes bun's BaseModel, and models imports nothing of bun.
func nameTable(db *bun.DB, model any, name string) *schema.Table {
	t := db.Table(reflect.TypeOf(model).Elem())
	t.Name, t.SQLName, t.SQLNameForSelects = name, schema.Safe(name), schema.Safe(name)
	return t
}

func arrayType(field *schema.Field) (array, cast string, _ error) {
	typ := field.IndirectType
	switch {
	case field.UserSQLType == "uuid":
		return "uuid[]", "", nil
	case field.UserSQLType == "jsonb":
		return "text[]", "::jsonb", nil
	case typ == reflect.TypeFor[outboxapi.Time]():
		return "timestamptz[]", "", nil
	case typ.Kind() == reflect.String:
		return "text[]", "", nil
	case typ.Kind() == reflect.Int64:
		return "bigint[]", "", nil
	case typ.Kind() == reflect.Float64:
		return "double precision[]", "", nil
	case typ.Kind() == reflect.Bool:
		return "boolean[]", "", nil
	case typ == reflect.TypeFor[[]byte]():
		return "bytea[]", "", nil
	}
	return "", "", fmt.Errorf("column %s has the Go type %s, which has no array", field.Name, typ)
}

// values are the row's, one a column, nil for NULL.
func (t *table) values(row models.Row) ([]any, error) {
	strct := reflect.ValueOf(row).Elem()
	values := make([]any, len(t.columns))
	for i, c := range t.columns {
		v, err := c.value(strct)
		if err != nil {
			return nil, fmt.Errorf("%s %w", c.name, err)
		}
		values[i] = v
	}
	return values, nil
}

func (c *column) value(strct reflect.Value) (any, error) {
	v := c.field.Value(strct)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil, nil
		}
		v = v.Elem()
	} else if c.field.NullZero && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return nil, nil
	}
	switch value := v.Interface().(type) {
	case outboxapi.Time:
		if value.IsZero() {
			return nil, nil
		}
		// Others cannot be written as RFC 3339 in each zone: PostgreSQL would take them, and no reader of the row could say them.
		if y := value.UTC().Year(); y < 2 || y > 9998 {
			return nil, fmt.Errorf("is of the year %d, expected a time of the years 2 to 9998", y)
		}
		return value.Time, nil
	case string:
		if c.array == "uuid[]" {
			id, err := uuid.Parse(value)
			if err != nil {
				return nil, fmt.Errorf("is %.80q, expected a UUID: %w", value, err)
			}
			return [16]byte(id), nil
		}
		return value, c.silentlyCut(value)
	case int64, float64, bool, []byte:
		return value, nil
	default:
		return encodeJSON(value)
	}
}

// silentlyCut finds the one case in which PostgreSQL cuts a text instead of refusing it: what exceeds a VARCHAR's length is all spaces.
func (c *column) silentlyCut(text string) error {
	if !c.exceeded(text) || c.exceeded(strings.TrimRight(text, " ")) {
		return nil
	}
	return c.tooLong(text)
}

func (c *column) exceeded(text string) bool {
	return c.limit > 0 && len(text) > c.limit && utf8.RuneCountInString(text) > c.limit
}

func (c *column) tooLong(text string) error {
	return &valueError{"22001", fmt.Sprintf("has %d characters, expected at most %d", utf8.RuneCountInString(text), c.limit)}
}

// tooLong names the columns whose text exceeds its length: PostgreSQL's error does not.
func (t *table) tooLong(values []any) string {
	var names []string
	for i, c := range t.columns {
		if text, ok := values[i].(string); ok && c.exceeded(text) {
			names = append(names, c.name+" "+c.tooLong(text).Error())
		}
	}
	return strings.Join(names, "; ")
}

// canary is a row that the table of this release takes for certain, with every column set.
func (t *table) canary() []any {
	values := make([]any, len(t.columns))
	for i, c := range t.columns {
		switch {
		case c.array == "uuid[]":
			values[i] = [16]byte(uuid.New())
		case c.cast == "::jsonb":
			values[i] = "{}"
		case c.array == "text[]":
			values[i] = "canary"
		case c.array == "timestamptz[]":
			values[i] = time.Now()
		case c.array == "bigint[]":
			values[i] = int64(1)
		case c.array == "double precision[]":
			values[i] = 1.0
		case c.array == "boolean[]":
			values[i] = true
		case c.array == "bytea[]":
			values[i] = []byte(rand.Text())
		}
	}
	return values
}

func encodeJSON(v any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(text.String(), "\n"), nil
}
