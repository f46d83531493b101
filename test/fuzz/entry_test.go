package fuzz

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var (
	created = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	source  = entry.Source{Namespace: "shop", Name: "cart", UID: "5c0f1e2d-0000-4000-8000-000000000001", Created: created}
	kinds   = []string{entry.KindOrchestration, entry.KindAIDecision, entry.KindExecution, entry.KindNotification, "backups.example.com"}
	limits  = entry.DefaultLimits()
)

// seeds are records of each kind, and JSON that breaks something somewhere.
var seeds = []string{
	`{"remediation_id":"r","signal_fingerprint":"3f0c","signal_received_at":"2026-11-23T04:05:06.000000Z","remediation_created_at":"2026-11-23T04:05:06.000000Z"}`,
	`{"remediation_id":"r","investigation_started_at":"2026-11-23T04:05:06Z","root_cause":"\u0000 \ud800 é","alternatives":[{"action":"x","confidence":1}]}`,
	`{"remediation_id":"r","workflow_id":"w","execution_started_at":"2026-11-23T04:05:06Z","parameters":{"a":"b"},"effectiveness_score":0.5}`,
	`{"remediation_id":"r","notification_requested_at":"9999-12-31T23:59:59.999999Z","channels":["slack"],"subject":"\\u0000 ' ? $1 <&>"}`,
	`{}`, `{"a":1e308,"b":-0,"c":9007199254740991,"d":1.0}`, `{"a":{"b":[{"c":null}]}}`, `{"hash":"x","source":{},"id":""}`, `{"a":1,"a":2}`, `[]`, `null`, `"x"`, "{\"\xff\":\"\xfe\"}",
}

// Whatever text is decoded: if it is an entry, the same text is written of it, and there is a row of it, or an error.
func FuzzDecode(f *testing.F) {
	for _, record := range seeds {
		for _, kind := range kinds {
			o, _, err := entry.Append(nil, source, entry.Change{Kind: kind, Event: "Changed", Phase: "Sending", Record: json.RawMessage(record)}, created, entry.Salt{}, limits)
			if err == nil {
				f.Add([]byte(o.Entries[0]))
			}
		}
	}
	f.Add([]byte(`{"source":{"uid":null},"sequence":-1,"recordedTime":"0000-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := entry.Decode(text)
		item := relay.Item{Source: e.Source, ResourceKind: "Any", Sequence: e.Sequence, Hash: entry.Hash(text), Text: text}
		item.Source.Created = created // which no text has
		item.Check()
		if err != nil {
			if item.Refused == "" {
				t.Fatalf("%q passes, and is no entry: %v", text, err)
			}
			return
		}
		if e.SchemaVersion != entry.SchemaVersion {
			return
		}
		_, _ = postgres.RowOf("", &e, text)
		if again, err := e.Encode(); err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%s became %s, %v", text, again, err)
		}
	})
}

// Whatever record is appended, with whatever around it: what is accepted keeps its hash through JSON, as in etcd, and becomes a row with exactly that text.
func FuzzRecord(f *testing.F) {
	for i, record := range seeds {
		f.Add([]byte(record), "Changed", "Sending", i, true)
	}
	f.Fuzz(func(t *testing.T, record []byte, event, phase string, kind int, final bool) {
		change := entry.Change{Kind: kinds[uint(kind)%uint(len(kinds))], Event: event, Phase: phase, Final: final, Record: json.RawMessage(record)}
		o, _, err := entry.Append(nil, source, change, created, entry.Salt{}, limits)
		if err != nil {
			return
		}
		stored, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		var live outboxapi.Outbox
		if err := json.Unmarshal(stored, &live); err != nil {
			t.Fatal(err)
		}
		item := relay.NewItems(source, "Any", entry.PendingOf(source.UID, &live))[0]
		if item.Refused != "" {
			t.Fatalf("%s: %s", item.Refused, stored)
		}
		e := item.Entry
		if item.Hash != o.HeadHash || e.Event != event || e.Phase != phase || e.Source.UID != source.UID {
			t.Fatalf("%+v is not what was appended: %s", e, stored)
		}
		row, err := postgres.RowOf("", &e, item.Text)
		if err != nil {
			return // a record that does not fit its table is a dead letter
		}
		if h := row.Head(); h.Entry != string(item.Text) || !slices.Contains(models.Tables(), row.Table()) {
			t.Fatalf("%+v", h)
		}
	})
}
