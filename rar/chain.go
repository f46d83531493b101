package rar

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// text is what the text of an entry says; docs/entry.md specifies it. Package outbox reads it strictly, this only as far as the row repeats it.
type text struct {
	ID            string          `json:"id"`
	Sequence      int64           `json:"sequence"`
	Kind          string          `json:"kind"`
	Event         string          `json:"event"`
	Phase         string          `json:"phase"`
	RecordedTime  outboxapi.Time  `json:"recordedTime"`
	SchemaVersion int64           `json:"schemaVersion"`
	Final         bool            `json:"final"`
	Traceparent   string          `json:"traceparent"`
	PreviousHash  string          `json:"previousHash"`
	Record        json.RawMessage `json:"record"`
	Source        struct {
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
		UID       string `json:"uid"`
	} `json:"source"`
}

// damaged reports whether one of the rows has a fault: what it says may not be what was recorded.
func (b *builder) damaged(refs []string) bool {
	return slices.ContainsFunc(refs, func(ref string) bool { return b.faulty[ref] })
}

// link is an entry in a chain: a row, or a dead letter.
type link struct {
	sequence int64
	hash     []byte
	text     []byte
	row      models.Row // nil for a dead letter
	ref      string
}

// chain recomputes every hash. It holds each row to its text, too: a figure of the report is a column's, and the hash covers the text alone.
func (b *builder) chain() Chain {
	c := Chain{Faults: []Statement{}, Checkpoint: b.in.Checkpoint}
	for _, t := range b.trails {
		if t.posted {
			continue
		}
		before := (*link)(nil)
		for _, l := range b.links(t) {
			c.Rows++
			if fault := l.fault(t, before); fault != "" {
				refs := []string{l.ref}
				if before != nil {
					refs = join([]string{before.ref}, refs)
				}
				c.Faults = append(c.Faults, Statement{fmt.Sprintf("Entry %d of %s %s", l.sequence, t.title(), fault), refs})
				b.faulty[l.ref] = true
			}
			before = &l
		}
	}
	c.Verified = c.Rows > 0 && len(c.Faults) == 0
	return c
}

// links are the rows of a trail, and the dead letters that did not become one.
func (b *builder) links(t *trail) []link {
	var all []link
	for _, r := range t.rows {
		h := r.Head()
		all = append(all, link{h.Sequence, h.EntryHash, []byte(h.Entry), r, b.ledger.row(r)})
	}
	for _, d := range t.letters {
		if !t.redriven(d) {
			all = append(all, link{d.Sequence, d.EntryHash, d.Text(), nil, b.ledger.letter(d)})
		}
	}
	slices.SortStableFunc(all, func(x, y link) int { return cmp.Compare(x.sequence, y.sequence) })
	return all
}

// fault is what is wrong with an entry, as the end of a sentence; empty if nothing is.
func (l *link) fault(t *trail, before *link) string {
	sum := sha256.Sum256(l.text)
	if !bytes.Equal(sum[:], l.hash) {
		return "was changed: its text does not have the hash that the row claims."
	}
	var e text
	if models.DecodeRecord(l.text, &e) != nil {
		if l.row == nil {
			return "" // that is why it is a dead letter
		}
		return "is no entry: its text cannot be read."
	}
	switch {
	case e.Sequence != l.sequence || e.Source.UID != t.uid:
		return "has another place in its text: it is of another resource, or was moved."
	case before == nil && e.PreviousHash != "" && l.sequence == 1, before != nil && l.sequence == before.sequence:
		return "stands where another entry was: the resource has two histories."
	case before != nil && l.sequence == before.sequence+1 && e.PreviousHash != hex.EncodeToString(before.hash):
		return "does not follow the entry before it: its hash of that one is another."
	case before != nil && before.row != nil && before.row.Head().Final:
		return "comes after the end of the record."
	}
	if l.row == nil {
		return ""
	}
	if column := differs(l.row, &e); column != "" {
		return "was changed: column " + column + " does not say what its text says."
	}
	return ""
}

// differs names a column that is not what the text says, empty if all agree.
func differs(row models.Row, e *text) string {
	h := row.Head()
	for _, c := range []struct {
		column string
		same   bool
	}{
		{"id", h.ID == e.ID}, {"event", h.Event == e.Event}, {"phase", h.Phase == e.Phase}, {"final", h.Final == e.Final},
		{"recorded_at", h.RecordedAt.Time.Equal(e.RecordedTime.Time)}, {"schema_version", h.SchemaVersion == e.SchemaVersion}, {"traceparent", h.Traceparent == e.Traceparent},
		{"previous_hash", hex.EncodeToString(h.PreviousHash) == e.PreviousHash}, {"source_namespace", h.SourceNamespace == e.Source.Namespace}, {"source_name", h.SourceName == e.Source.Name},
	} {
		if !c.same {
			return c.column
		}
	}
	said, err := models.Project(e.Kind, models.Envelope{}, e.Record)
	if err != nil || said.Table() != row.Table() {
		return "kind"
	}
	stored, claimed := recordOf(row), recordOf(said)
	if reflect.DeepEqual(stored.Addr().Interface(), claimed.Addr().Interface()) {
		return ""
	}
	for i := range stored.NumField() {
		if !sameJSON(stored.Field(i).Interface(), claimed.Field(i).Interface()) {
			name, _, _ := strings.Cut(stored.Type().Field(i).Tag.Get("json"), ",")
			return name
		}
	}
	return ""
}

// recordOf is the record of a row, as a struct.
func recordOf(row models.Row) reflect.Value {
	switch r := row.(type) {
	case *models.OrchestrationRow:
		return reflect.ValueOf(&r.Orchestration).Elem()
	case *models.AIDecisionRow:
		return reflect.ValueOf(&r.AIDecision).Elem()
	case *models.ExecutionRow:
		return reflect.ValueOf(&r.Execution).Elem()
	case *models.NotificationRow:
		return reflect.ValueOf(&r.Notification).Elem()
	case *models.ResourceRow:
		return reflect.ValueOf(&struct {
			Kind   string          `json:"kind"`
			Record json.RawMessage `json:"record"`
		}{r.Kind, json.RawMessage(r.Record)}).Elem()
	}
	return reflect.ValueOf(&struct{}{}).Elem()
}

// sameJSON compares values as JSON: an empty list and none are one, as they are in a row.
func sameJSON(x, y any) bool {
	if reflect.DeepEqual(x, y) {
		return true
	}
	a, errA := json.Marshal(x)
	b, errB := json.Marshal(y)
	if errA != nil || errB != nil {
		return false
	}
	var p, q any
	if json.Unmarshal(a, &p) != nil || json.Unmarshal(b, &q) != nil {
		return false
	}
	return reflect.DeepEqual(emptied(p), emptied(q))
}

// emptied takes an empty list or object for none.
func emptied(x any) any {
	switch v := x.(type) {
	case []any:
		if len(v) == 0 {
			return nil
		}
	case map[string]any:
		if len(v) == 0 {
			return nil
		}
	}
	return x
}
