package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Kinds of entries that have a table of their own. Package outbox has them too; this package imports nothing of ours.
const (
	kindOrchestration = "orchestration"
	kindAIDecision    = "ai-decision"
	kindExecution     = "execution"
	kindNotification  = "notification"
)

// NewRow returns an empty row for a kind of entry. orchestration, ai-decision, execution and notification have their own tables; every other kind
// is stored in resource_audit.
func NewRow(kind string) Row {
	switch kind {
	case kindOrchestration:
		return &OrchestrationRow{}
	case kindAIDecision:
		return &AIDecisionRow{}
	case kindExecution:
		return &ExecutionRow{}
	case kindNotification:
		return &NotificationRow{}
	}
	return &ResourceRow{Kind: kind}
}

// NewRows returns an empty row of each of the Tables, in their order.
func NewRows() []Row {
	return []Row{&OrchestrationRow{}, &AIDecisionRow{}, &ExecutionRow{}, &NotificationRow{}, &ResourceRow{}}
}

// Project returns the row of an entry: the given envelope, and a column for each field of the record's JSON object. It is pure.
//
// A field of the wrong type, or a required one that is missing, is an error that names it. A field without a column is not an error: a later release
// may write it, and it stays in Envelope.Entry.
func Project(kind string, e Envelope, record []byte) (Row, error) {
	row := NewRow(kind)
	*row.Head() = e
	if r, ok := row.(*ResourceRow); ok {
		if !isObject(record) {
			return nil, fmt.Errorf("record is %.40s, expected a JSON object", record)
		}
		r.Record = string(record)
		return row, nil
	}
	if err := DecodeRecord(record, row.record()); err != nil {
		return nil, err
	}
	return row, nil
}

// DecodeRecord reads a record's JSON object into one of the record structs (a pointer), field by field so that every error names its field. JSON names match
// exactly; null counts as absent; unknown fields are ignored.
func DecodeRecord(record []byte, into any) error {
	if !isObject(record) {
		return fmt.Errorf("record is %.40s, expected a JSON object", record)
	}
	target := reflect.ValueOf(into).Elem()
	values, err := membersOf(record, fieldsOf(target.Type()))
	if err != nil {
		return fmt.Errorf("record is not JSON: %w", err)
	}
	for i, raw := range values {
		field := target.Type().Field(i)
		name := nameOf(field)
		if raw == nil || string(raw) == "null" {
			if strings.HasSuffix(field.Tag.Get("bun"), ",notnull") {
				return fmt.Errorf("record: %s is missing, expected %s", name, describe(field.Type))
			}
			continue
		}
		if scalar(raw, target.Field(i)) {
			continue
		}
		if err := json.Unmarshal(raw, target.Field(i).Addr().Interface()); err != nil {
			return fmt.Errorf("record: %s is %.80s, expected %s: %w", name, raw, describe(field.Type), err)
		}
	}
	return nil
}

// scalar sets a field to a string without escapes, a truth value or a whole number, as json.Unmarshal does in many times the time: reports read each row twice, as columns and as text. It is false,
// and the field as it was, for everything else.
func scalar(raw []byte, field reflect.Value) bool {
	t := field.Type()
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	set := func(v reflect.Value) bool {
		if field.Kind() == reflect.Pointer {
			p := reflect.New(t)
			p.Elem().Set(v)
			v = p
		}
		field.Set(v)
		return true
	}
	switch t {
	case reflect.TypeFor[string]():
		if n := len(raw); n >= 2 && raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw) {
			return set(reflect.ValueOf(string(raw[1 : n-1])))
		}
	case reflect.TypeFor[bool]():
		if text := string(raw); text == "true" || text == "false" {
			return set(reflect.ValueOf(text == "true"))
		}
	case reflect.TypeFor[int64]():
		if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
			return set(reflect.ValueOf(n))
		}
	}
	return false
}

// membersOf finds the members of an object that have an index. Of members with one name the last counts, as for encoding/json. The values share memory with the object.
func membersOf(object []byte, index map[string]int) ([][]byte, error) {
	values := make([][]byte, len(index))
	d := jsontext.NewDecoder(bytes.NewReader(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		i, known := index[name.String()]
		value, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if known {
			end := d.InputOffset()
			values[i] = object[end-int64(len(value)) : end]
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data follows the JSON object")
	}
	return values, nil
}

// fields are the indexes of a struct's fields by their JSON names, by the struct's type.
var fields sync.Map

func fieldsOf(t reflect.Type) map[string]int {
	if known, ok := fields.Load(t); ok {
		return known.(map[string]int)
	}
	names := make(map[string]int, t.NumField())
	for i := range t.NumField() {
		names[nameOf(t.Field(i))] = i
	}
	fields.Store(t, names)
	return names
}

func nameOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}

func isObject(record []byte) bool { return bytes.HasPrefix(bytes.TrimSpace(record), []byte("{")) }

// describe names a field's type as someone who writes JSON would.
func describe(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "an array"
	}
	if t.Name() == "Time" {
		return "a time in RFC 3339"
	}
	return "an object"
}

// ProjectPosted returns the row of a table for a record that was posted over REST. Only the record is set.
func ProjectPosted(table string, record []byte) (Row, error) {
	for _, row := range NewRows() {
		if row.Table() != table {
			continue
		}
		if r, ok := row.(*ResourceRow); ok {
			r.Record = string(record)
			return row, nil
		}
		return row, DecodeRecord(record, row.record())
	}
	return nil, fmt.Errorf("table is %q, expected one of %q", table, Tables())
}
