package models

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// envelopeColumns are those of Envelope as PostgreSQL's to_jsonb writes them.
type envelopeColumns struct {
	ID              string          `json:"id"`
	SourceCluster   string          `json:"source_cluster"`
	SourceNamespace string          `json:"source_namespace"`
	SourceName      string          `json:"source_name"`
	SourceUID       string          `json:"source_uid"`
	Sequence        int64           `json:"sequence"`
	Event           string          `json:"event"`
	Phase           string          `json:"phase"`
	Final           bool            `json:"final"`
	RecordedAt      outboxapi.Time  `json:"recorded_at"`
	RecordedBy      string          `json:"recorded_by"`
	SchemaVersion   int64           `json:"schema_version"`
	PreviousHash    byteaText       `json:"previous_hash"`
	EntryHash       byteaText       `json:"entry_hash"`
	Traceparent     string          `json:"traceparent"`
	Entry           string          `json:"entry"`
	CreatedAt       outboxapi.Time  `json:"created_at"`
	Kind            string          `json:"kind"`
	Record          json.RawMessage `json:"record"`
}

// envelopeShape is that of envelopeColumns.
var envelopeShape = shapeOf(reflect.TypeFor[envelopeColumns]())

var columnIndexes sync.Map // by the record's reflect.Type

// columnIndex has the envelope's fields, and after these the record's, so that the columns are gone through once.
func columnIndex(record reflect.Type) map[string]int {
	if known, ok := columnIndexes.Load(record); ok {
		return known.(map[string]int)
	}
	index := maps.Clone(envelopeShape.index)
	for name, i := range shapeOf(record).index {
		index[name] = len(envelopeShape.fields) + i
	}
	columnIndexes.Store(record, index)
	return index
}

// byteaText is a bytea as to_jsonb writes it: \x and hex digits.
type byteaText []byte

// UnmarshalJSON implements json.Unmarshaler.
func (b *byteaText) UnmarshalJSON(text []byte) error {
	var s *string
	if err := json.Unmarshal(text, &s); err != nil || s == nil {
		return err
	}
	digits, ok := strings.CutPrefix(*s, `\x`)
	if !ok {
		return fmt.Errorf("bytea is %.80q, expected \\x and hex digits", *s)
	}
	var err error
	*b, err = hex.DecodeString(digits)
	return err
}

// FromColumns makes the row of a table from its columns, the JSON object that PostgreSQL's to_jsonb makes of a row. Columns that it does not know are passed over. Errors are of rows that
// nobody made with this package.
func FromColumns(table string, columns []byte) (Row, error) {
	var row Row
	for _, r := range NewRows() {
		if r.Table() == table {
			row = r
		}
	}
	if row == nil {
		return nil, fmt.Errorf("read a row: table is %q, expected one of %s", table, strings.Join(Tables(), ", "))
	}
	record := reflect.ValueOf(&struct{}{})
	if _, ok := row.(*ResourceRow); !ok {
		record = reflect.ValueOf(row.record())
	}
	record = record.Elem()
	s := shapeOf(record.Type())
	n := len(envelopeShape.fields)
	values, err := membersOf(columns, columnIndex(record.Type()), n+len(s.fields))
	if err != nil {
		return nil, fmt.Errorf("read a row of %s: %w", table, err)
	}
	var c envelopeColumns
	if err := envelopeShape.set(values[:n], reflect.ValueOf(&c).Elem()); err != nil {
		return nil, fmt.Errorf("read a row of %s: %w", table, err)
	}
	*row.Head() = Envelope{
		ID: c.ID, SourceCluster: c.SourceCluster, SourceNamespace: c.SourceNamespace, SourceName: c.SourceName, SourceUID: c.SourceUID, Sequence: c.Sequence, Event: c.Event,
		Phase: c.Phase, Final: c.Final, RecordedAt: c.RecordedAt, RecordedBy: c.RecordedBy, SchemaVersion: c.SchemaVersion, PreviousHash: c.PreviousHash, EntryHash: c.EntryHash,
		Traceparent: c.Traceparent, Entry: c.Entry, CreatedAt: c.CreatedAt,
	}
	if r, ok := row.(*ResourceRow); ok {
		r.Kind, r.Record = c.Kind, string(c.Record)
		return row, nil
	}
	if err := s.set(values[n:], record); err != nil {
		return nil, fmt.Errorf("read row %s of %s: %w", c.ID, table, err)
	}
	return row, nil
}

// DeadLetterFromColumns makes a dead letter from its columns, as FromColumns a row. When it was redriven can be any time that PostgreSQL knows: one that no Time holds is the zero value.
func DeadLetterFromColumns(columns []byte) (DeadLetter, error) {
	var c struct {
		ID              string         `json:"id"`
		EntryHash       byteaText      `json:"entry_hash"`
		Kind            string         `json:"kind"`
		Entry           string         `json:"entry"`
		EntryBytes      byteaText      `json:"entry_bytes"`
		Error           string         `json:"error"`
		SQLState        string         `json:"sqlstate"`
		SourceCluster   string         `json:"source_cluster"`
		SourceNamespace string         `json:"source_namespace"`
		SourceName      string         `json:"source_name"`
		SourceUID       string         `json:"source_uid"`
		Sequence        int64          `json:"sequence"`
		PreviousHash    byteaText      `json:"previous_hash"`
		FirstAttempt    outboxapi.Time `json:"first_attempt"`
		LastAttempt     outboxapi.Time `json:"last_attempt"`
		Attempts        int64          `json:"attempts"`
		RedrivenAt      *string        `json:"redriven_at"`
	}
	if err := json.Unmarshal(columns, &c); err != nil {
		return DeadLetter{}, fmt.Errorf("read a dead letter: %w", err)
	}
	d := DeadLetter{
		ID: c.ID, EntryHash: c.EntryHash, Kind: c.Kind, Entry: c.Entry, EntryBytes: c.EntryBytes, Error: c.Error, SQLState: c.SQLState, SourceCluster: c.SourceCluster,
		SourceNamespace: c.SourceNamespace, SourceName: c.SourceName, SourceUID: c.SourceUID, Sequence: c.Sequence, PreviousHash: c.PreviousHash,
		FirstAttempt: c.FirstAttempt, LastAttempt: c.LastAttempt, Attempts: c.Attempts,
	}
	if c.RedrivenAt != nil {
		at, _ := outboxapi.ParseTime(*c.RedrivenAt)
		d.RedrivenAt = &at
	}
	return d, nil
}
