package models

import (
	"bytes"
	"fmt"
	"reflect"
)

// Kinds of entries that have a table of their own. Package outbox has them too; this package imports nothing of ours.
const (
	kindOrchestration = "orchestration"
	kindAIDecision    = "ai-decision"
	kindExecution     = "execution"
	kindNotification  = "notification"
)

// EntryKind is the kind of the entries of a Kubernetes kind of Holdfast's own: orchestration for RemediationRequest, and so on. Any other text is returned as it is.
func EntryKind(kind string) string {
	switch kind {
	case "RemediationRequest":
		return kindOrchestration
	case "AIAnalysis":
		return kindAIDecision
	case "WorkflowExecution":
		return kindExecution
	case "NotificationRequest":
		return kindNotification
	}
	return kind
}

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
