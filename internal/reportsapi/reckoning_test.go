package reportsapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
	"github.com/holdfast-dev/holdfast/relay"
)

// reckoned is what testdata/reckon.sql says of a remediation. Times are in microseconds, shares in ten thousandths, cut.
type reckoned struct {
	Total       *float64
	Outcome     string
	Phases      [][4]any
	Events      []string
	Wait        *float64
	Retries     *int64
	Steps       int
	Attempts    int
	Rows        int
	Lost        int64
	Others      int
	Recurrences int
	Cohort      [5]*float64
}

// Whatever happened, in 2,000 generated histories with lost rows, strangers, and clocks that disagree: an independent reckoning in SQL over the rows and the report say the same.
func TestReportsAgreeWithAnIndependentReckoning(t *testing.T) {
	g := NewWithT(t)
	const histories = 2000
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("HOLDFAST_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		g.Expect(err).NotTo(HaveOccurred())
	}
	t.Logf("HOLDFAST_SEED=%d makes the same histories again", seed)
	s := start(t)
	var ids []string
	var items []relay.Item
	for n := range histories {
		h := s.generate(seed, n)
		ids, items = append(ids, h.id(1)), append(items, h.items()...)
	}
	for some := range slices.Chunk(items, 2000) {
		outcomes, err := s.store.Persist(t.Context(), some)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(outcomes).To(HaveEach(HaveField("Result", relay.Stored)))
	}
	s.execute("ANALYZE")
	asOf := received.AddDate(0, 0, 60)
	compared := 0
	for _, readable := range []postgres.Readable{{Everything: true}, {Cluster: "east", Since: map[string]time.Time{"shop": {}}}} {
		begin := time.Now()
		want := s.reckon(ids, readable, asOf)
		t.Logf("reckoned in %s", time.Since(begin).Round(time.Millisecond))
		inputs := map[string]*rar.Input{}
		for some := range slices.Chunk(slices.Sorted(maps.Keys(want)), readTogether) {
			var together []*rar.Input
			for _, id := range some {
				inputs[id] = &rar.Input{RemediationID: id, AsOf: asOf}
				together = append(together, inputs[id])
			}
			g.Expect(s.store.Snapshot(t.Context(), readable, func(ctx context.Context, q *postgres.Snapshot) error { return fill(ctx, q, together, asOf) })).To(Succeed())
		}
		for id, w := range want {
			if compared%40 == 0 {
				s.expectTheSameAlone(readable, inputs[id])
			}
			r := rar.Build(inputs[id])
			if r.Effectiveness == nil { // then nobody asks whether it held
				w.Recurrences = 0
			}
			got := reckonedOf(r)
			const mean = 2 // one that ends in half a thousandth may be rounded either way: a sum of fractions depends on its order
			if mine, other := got.Cohort[mean], w.Cohort[mean]; mine != nil && other != nil && math.Abs(*mine-*other) < 0.0011 {
				got.Cohort[mean] = other
			}
			if !g.Expect(got).To(Equal(w), "HOLDFAST_SEED=%d, %s", seed, id) {
				return
			}
			compared++
		}
	}
	g.Expect(compared).To(BeNumerically(">", histories*9/10), "those that lost the only row of their request have no reckoning")
	t.Logf("%d rows, %d reports compared", len(items), compared)
}

// expectTheSameAlone reads a report by itself. Of what others in a stream need of the same cases it says nothing.
func (s *service) expectTheSameAlone(readable postgres.Readable, together *rar.Input) {
	s.t.Helper()
	g := NewWithT(s.t)
	alone := &rar.Input{RemediationID: together.RemediationID, AsOf: together.AsOf}
	g.Expect(s.store.Snapshot(s.t.Context(), readable, func(ctx context.Context, q *postgres.Snapshot) error {
		return fill(ctx, q, []*rar.Input{alone}, alone.AsOf)
	})).To(Succeed())
	expected, err := json.Marshal(rar.Build(together))
	g.Expect(err).NotTo(HaveOccurred())
	got, err := json.Marshal(rar.Build(alone))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal(string(expected)), together.RemediationID)
}

func (s *service) reckon(ids []string, readable postgres.Readable, asOf time.Time) map[string]reckoned {
	s.t.Helper()
	g := NewWithT(s.t)
	text, err := os.ReadFile("testdata/reckon.sql")
	g.Expect(err).NotTo(HaveOccurred())
	var namespaces any
	if !readable.Everything {
		names := []string{}
		for name := range readable.Since {
			names = append(names, name)
		}
		namespaces = names
	}
	tx, err := s.store.DB().DB.BeginTx(s.t.Context(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(s.t.Context(), "SET LOCAL enable_nestloop = off; SET LOCAL jit = off") // of what the query makes on its way nobody knows the size
	g.Expect(err).NotTo(HaveOccurred())
	rows, err := tx.QueryContext(s.t.Context(), string(text), ids, namespaces, asOf)
	g.Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	all := map[string]reckoned{}
	for rows.Next() {
		var id string
		var raw []byte
		g.Expect(rows.Scan(&id, &raw)).To(Succeed())
		var one reckoned
		g.Expect(json.Unmarshal(raw, &one)).To(Succeed())
		one.canonical()
		all[id] = one
	}
	g.Expect(rows.Err()).NotTo(HaveOccurred())
	return all
}

// canonical rounds as reports do, and sorts.
func (r *reckoned) canonical() {
	for _, f := range []*float64{r.Total, r.Wait} {
		if f != nil {
			*f = millis(*f)
		}
	}
	for _, f := range r.Cohort {
		if f != nil {
			*f = millis(*f)
		}
	}
	slices.Sort(r.Events)
}

func millis(x float64) float64 { return float64(int64(x*1000+0.5)) / 1000 }

// reckonedOf is the same, as the report says it.
func reckonedOf(r *rar.Report) reckoned {
	got := reckoned{
		Total: r.Summary.TotalSeconds, Outcome: r.Summary.Outcome, Rows: r.Complete.Chain.Rows,
	}
	for _, e := range r.Timeline.Events {
		got.Events = append(got.Events, fmt.Sprintf("%s %d", e.Event, e.At.UnixMicro()))
	}
	for _, s := range r.Timeline.Spans {
		switch s.Lane {
		case "Steps":
			got.Steps++
			continue
		case "Deliveries", "Requests for approval":
			got.Attempts++
			continue
		}
		p := [4]any{s.Name, float64(s.Start.UnixMicro()), nil, nil}
		if s.End != nil {
			p[2] = float64(s.End.UnixMicro())
		}
		if s.Share != nil {
			p[3] = float64(int64(*s.Share*1e4 + 0.5))
		}
		got.Phases = append(got.Phases, p)
	}
	if a := r.Approval; a != nil && a.RequestedAt != nil {
		got.Wait = a.WaitSeconds
	}
	if e := r.Execution; e != nil {
		got.Retries = &e.Retries
	}
	for _, m := range r.Complete.Missing {
		if m.From > 0 {
			got.Lost += m.To - m.From + 1
		}
	}
	for _, o := range r.OtherRows {
		got.Others += o.Rows
	}
	if r.Effectiveness != nil {
		got.Recurrences = len(r.Effectiveness.Recurrences)
	}
	if h := r.History; h != nil {
		n, success := float64(h.N), float64(h.Success)
		got.Cohort = [5]*float64{&n, &success, h.Mean, h.P50, h.P90}
	}
	got.canonical()
	return got
}
