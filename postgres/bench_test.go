package postgres

import (
	"fmt"
	"testing"
	"time"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// BenchmarkPersist inserts entries that are new, on a real PostgreSQL.
func BenchmarkPersist(b *testing.B) {
	for _, rows := range []int{1, 4, 100, 1000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			s := openBench(b)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				items := benchItems(b, rows)
				b.StartTimer()
				if _, err := s.Persist(b.Context(), items); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(rows*b.N)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// BenchmarkPlan is Persist without the database: entries become the values of rows.
func BenchmarkPlan(b *testing.B) {
	s := openBench(b)
	items := benchItems(b, 100)
	b.ReportAllocs()
	for b.Loop() {
		s.plan(items)
	}
}

func openBench(b *testing.B) *Store {
	b.Helper()
	s, err := Open(b.Context(), database(b), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

func benchItems(b *testing.B, n int) []relay.Item {
	b.Helper()
	var all []relay.Item
	for len(all) < n {
		s, o := newSource(), (*outboxapi.Outbox)(nil)
		for range min(4, n-len(all)) {
			next, _, err := entry.Append(o, s, entry.Change{Kind: entry.KindNotification, Event: "Sent", Phase: "Sent", Record: notification()}, time.Now(), entry.Salt{}, entry.DefaultLimits())
			if err != nil {
				b.Fatal(err)
			}
			o = next
		}
		all = append(all, relay.NewItems(s, "NotificationRequest", entry.PendingOf(s.UID, o))...)
	}
	return sorted(all)
}
