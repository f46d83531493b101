package models

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// DecodeRecord reads a record's JSON object into one of the record structs (a pointer), field by field so that every error names its field. JSON names match
// exactly; null counts as absent; unknown fields are ignored.
func DecodeRecord(record []byte, into any) error {
	if !isObject(record) {
		return fmt.Errorf("record is %.40s, expected a JSON object", record)
	}
	target := reflect.ValueOf(into).Elem()
	s := shapeOf(target.Type())
	values, err := membersOf(record, s.index, len(s.fields))
	if err != nil {
		return fmt.Errorf("record is not JSON: %w", err)
	}
	return s.set(values, target)
}

// shape is what decoding needs to know of a struct type.
type shape struct {
	index  map[string]int // of fields, by their JSON names
	fields []shapeField
}

type shapeField struct {
	name     string
	required bool
}

var shapes sync.Map // by reflect.Type

func shapeOf(t reflect.Type) *shape {
	if known, ok := shapes.Load(t); ok {
		return known.(*shape)
	}
	s := &shape{index: make(map[string]int, t.NumField())}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		s.index[name] = i
		s.fields = append(s.fields, shapeField{name, strings.HasSuffix(f.Tag.Get("bun"), ",notnull")})
	}
	shapes.Store(t, s)
	return s
}

// set sets the fields of a struct to the values.
func (s *shape) set(values [][]byte, target reflect.Value) error {
	for i, raw := range values {
		f := &s.fields[i]
		if raw == nil || string(raw) == "null" {
			if f.required {
				return fmt.Errorf("record: %s is missing, expected %s", f.name, describe(target.Field(i).Type()))
			}
			continue
		}
		if scalar(raw, target.Field(i)) || composite(raw, target.Field(i)) {
			continue
		}
		if err := json.Unmarshal(raw, target.Field(i).Addr().Interface()); err != nil {
			return fmt.Errorf("record: %s is %.80s, expected %s: %w", f.name, raw, describe(target.Field(i).Type()), err)
		}
	}
	return nil
}

// composite sets a field to a value, as json.Unmarshal does in twice the time. It is false, and the field empty, where that may refuse it: then it says why.
func composite(raw []byte, field reflect.Value) bool {
	if jsonv2.Unmarshal(raw, field.Addr().Interface(), legacy) == nil {
		return true
	}
	field.SetZero()
	return false
}

// legacy are the options for what encoding/json does.
var legacy = jsonv1.DefaultOptionsV1()

// scalar sets a field to a value without parts, as json.Unmarshal does in many times the time: reports read each row twice, as columns and as text. It is false, and the field as it was, for
// everything else. raw is valid JSON but for its UTF-8.
func scalar(raw []byte, field reflect.Value) bool {
	switch into := field.Addr().Interface().(type) {
	case *string:
		return plain(raw, into)
	case **string:
		return pointed(raw, into, plain)
	case *bool:
		return truth(raw, into)
	case **bool:
		return pointed(raw, into, truth)
	case *int64:
		return whole(raw, into)
	case **int64:
		return pointed(raw, into, whole)
	case *float64:
		return number(raw, into)
	case **float64:
		return pointed(raw, into, number)
	case *outboxapi.Time:
		return moment(raw, into)
	case **outboxapi.Time:
		return pointed(raw, into, moment)
	case *byteaText:
		return bytea(raw, into)
	case *json.RawMessage:
		*into = bytes.Clone(raw)
		return true
	}
	return false
}

func pointed[T any](raw []byte, into **T, read func([]byte, *T) bool) bool {
	v := new(T)
	if !read(raw, v) {
		return false
	}
	*into = v
	return true
}

// inside is what stands between the quotes of a string without escapes.
func inside(raw []byte) ([]byte, bool) {
	n := len(raw)
	if n < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 || !utf8.Valid(raw) {
		return nil, false
	}
	return raw[1 : n-1], true
}

func plain(raw []byte, into *string) bool {
	if text, ok := inside(raw); ok {
		*into = string(text)
		return true
	}
	if raw[0] != '"' {
		return false
	}
	text, err := jsontext.AppendUnquote(make([]byte, 0, len(raw)), raw) // the text of an entry
	if err == nil {
		*into = string(text)
	}
	return err == nil
}

func truth(raw []byte, into *bool) bool {
	ok := string(raw) == "true" || string(raw) == "false"
	if ok {
		*into = raw[0] == 't'
	}
	return ok
}

func isNumber(raw []byte) bool { return raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' }

func whole(raw []byte, into *int64) bool {
	if !isNumber(raw) {
		return false
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err == nil {
		*into = n
	}
	return err == nil
}

func number(raw []byte, into *float64) bool {
	if !isNumber(raw) {
		return false
	}
	x, err := strconv.ParseFloat(string(raw), 64)
	ok := err == nil && !math.IsInf(x, 0)
	if ok {
		*into = x
	}
	return ok
}

func moment(raw []byte, into *outboxapi.Time) bool {
	text, ok := inside(raw)
	if !ok {
		return false
	}
	t, err := outboxapi.ParseTime(string(text))
	if err == nil {
		*into = t
	}
	return err == nil
}

// bytea reads what to_jsonb makes of one.
func bytea(raw []byte, into *byteaText) bool {
	digits, ok := bytes.CutPrefix(raw, []byte(`"\\x`))
	if !ok {
		return false
	}
	b := make([]byte, hex.DecodedLen(len(digits)-1))
	if _, err := hex.Decode(b, digits[:len(digits)-1]); err != nil {
		return false
	}
	*into = b
	return true
}

// membersOf finds the n members of an object that have an index. Of members with one name the last counts, as for encoding/json. The values share memory with the object.
func membersOf(object []byte, index map[string]int, n int) ([][]byte, error) {
	values := make([][]byte, n)
	d := jsontext.NewDecoder(bytes.NewBuffer(object), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) // of a Buffer nothing is copied
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	for d.PeekKind() == '"' {
		raw, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		i, known := index[string(raw[1:len(raw)-1])]
		if bytes.IndexByte(raw, '\\') >= 0 {
			name, _ := jsontext.AppendUnquote(nil, raw) // of invalid UTF-8 it says so, and goes on
			i, known = index[string(name)]
		}
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
