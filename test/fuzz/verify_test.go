package fuzz

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/relay"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/internal/verify"
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// table is a trail in memory, with the real comparison of columns: what a database could give back, whoever wrote it.
type table struct {
	rows []postgres.Stored
	real *postgres.Store
}

func (t *table) Read(_ context.Context, uid string, visit func(*postgres.Stored) error) error {
	for i := range t.rows {
		if uid == "" || t.rows[i].SourceUID == uid {
			if err := visit(&t.rows[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *table) Compare(want models.Row, columns string, recordOnly bool) ([]postgres.Difference, error) {
	return t.real.Compare(want, columns, recordOnly)
}

func (t *table) Incomplete(context.Context) ([]postgres.Incomplete, error) { return nil, nil }

func (t *table) Clusters(context.Context, string) ([]string, error) { return nil, nil }

// Whatever is in the tables, verify ends with findings, and never with an error or a panic: nobody may delete a row, so it would stay that way.
func FuzzVerifyRows(f *testing.F) {
	lazy, err := postgres.Open(f.Context(), "postgres://nobody@127.0.0.1:1/none?sslmode=disable", postgres.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(lazy.Close)
	tables := append(models.Tables(), models.TableDeadLetter)
	honest := honestRows(f)
	for _, sequence := range []int64{-1, 0, 1, 2, 1 << 62, -1 << 63} {
		f.Add(uint8(0), string(source.UID), true, sequence, []byte("x"), honest[0].Entry, honest[0].Columns, "", false, uint8(1))
	}
	f.Add(uint8(3), "", true, int64(1), []byte(nil), "{}", "{}", "", false, uint8(0))
	f.Add(uint8(5), string(source.UID), true, int64(1), []byte{1}, "\x00\xff", `null`, "ai-decision", true, uint8(2))
	f.Add(uint8(2), "00000000-0000-0000-0000-000000000000", false, int64(7), []byte{}, `{"source":null}`, `{"id":[]}`, "x", false, uint8(3))
	f.Fuzz(func(t *testing.T, at uint8, uid string, hasSequence bool, sequence int64, hash []byte, entry, columns, kind string, redriven bool, place uint8) {
		if !json.Valid([]byte(columns)) || !strings.HasPrefix(strings.TrimSpace(columns), "{") {
			columns = "{}" // PostgreSQL makes them, with to_jsonb
		}
		if _, err := uuid.Parse(uid); err != nil {
			uid = "" // the column is a uuid
		}
		strange := postgres.Stored{Table: tables[int(at)%len(tables)], ID: uuid.NewString(), SourceUID: uid, HasSequence: hasSequence, EntryHash: hash, Entry: entry, Columns: columns, Kind: kind, Redriven: redriven}
		if hasSequence {
			strange.Sequence = sequence
		}
		if place%2 == 0 { // its text has the hash that it says
			sum := sha256.Sum256([]byte(entry))
			strange.EntryHash = sum[:]
		}
		rows := slices.Insert(slices.Clone(honest), int(place)%(len(honest)+1), strange)
		slices.SortStableFunc(rows, func(a, b postgres.Stored) int {
			if placed := order(a.SourceUID != "" && a.HasSequence, b.SourceUID != "" && b.HasSequence); placed != 0 {
				return placed
			}
			if c := strings.Compare(a.SourceUID, b.SourceUID); c != 0 {
				return c
			}
			return int(min(1, max(-1, a.Sequence/2-b.Sequence/2)))
		})
		var found int
		report, err := verify.Run(t.Context(), &table{rows: rows, real: lazy}, nil, verify.Options{}, func(verify.Finding) { found++ })
		if err != nil {
			t.Fatalf("%+v: %v", strange, err)
		}
		if found != report.Findings || (found == 0) != report.Intact {
			t.Fatalf("%d findings were told, the report says %+v", found, report)
		}
	})
}

// order puts true before false.
func order(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// honestRows are a chain as the relay writes it, whose columns are not looked at here.
func honestRows(f *testing.F) []postgres.Stored {
	f.Helper()
	var o *outboxapi.Outbox
	for i := range 3 {
		next, _, err := entry.Append(o, source, entry.Change{Kind: entry.KindNotification, Event: "Changed", Record: json.RawMessage(seeds[3]), Final: i == 2}, created, entry.Salt{}, limits)
		if err != nil {
			f.Fatal(err)
		}
		o = next
	}
	var rows []postgres.Stored
	for _, item := range relay.NewItems(source, "NotificationRequest", entry.PendingOf(source.UID, o)) {
		sum := sha256.Sum256(item.Text)
		rows = append(rows, postgres.Stored{Table: "notification_audit", ID: item.ID, SourceUID: string(source.UID), Sequence: item.Sequence, HasSequence: true, EntryHash: sum[:], Entry: string(item.Text), Columns: "{}"})
	}
	return rows
}
