package reportsapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// Several reports are read in one snapshot. When no place among the reads is free, those that wait too long are refused, and the others are read as soon as there is one.
func TestABusyReadRefusesOnlyThoseThatAreTooMany(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.Reads, c.Limits.Wait = 2, 20*time.Millisecond })
	var ids []string
	for i := range 4 {
		ids = append(ids, s.write(remediation{name: fmt.Sprintf("cart-%d", i)}))
	}
	r := &request{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathBatch, http.NoBody), params: &params{}, caller: Caller{Name: "auditor", Readable: postgres.Readable{Everything: true}},
		own: newGates(s.server.config.Limits)}
	g.Expect(s.server.gates.reads.TryAcquire(2)).To(BeTrue())
	var statuses []int
	refused := s.server.several(r, these(ids), wanted{asOf: s.server.now(), narrative: narrativeNone}, func(_ string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
		if refused != nil {
			statuses = append(statuses, refused.Status)
			s.server.gates.reads.Release(2) // whoever had them is done
			return nil
		}
		g.Expect(report).NotTo(BeNil())
		statuses = append(statuses, http.StatusOK)
		return nil
	})
	g.Expect(refused).To(BeNil())
	g.Expect(statuses).To(Equal([]int{http.StatusServiceUnavailable, http.StatusOK, http.StatusOK, http.StatusOK}))
}

// A stream takes one place among the reads, and reads ahead in a place apart if there is one. However short it may wait, none of its reports is refused for the read before.
func TestAStreamNeedsOnePlace(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.Reads, c.Limits.Wait = 1, time.Millisecond })
	ids := slices.Repeat([]string{s.write(remediation{name: "cart"})}, 4*readTogether)
	for _, taken := range []int64{0, ReadsAhead} {
		r := &request{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathBatch, http.NoBody), params: &params{}, caller: Caller{Name: "auditor", Readable: postgres.Readable{Everything: true}},
			own: newGates(s.server.config.Limits)}
		g.Expect(s.server.gates.ahead.TryAcquire(taken)).To(BeTrue())
		made := 0
		refused := s.server.several(r, these(ids), wanted{asOf: s.server.now(), narrative: narrativeNone}, func(_ string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
			g.Expect(refused).To(BeNil())
			g.Expect(report).NotTo(BeNil())
			made++
			return nil
		})
		g.Expect(refused).To(BeNil())
		g.Expect(made).To(Equal(len(ids)))
		s.server.gates.ahead.Release(taken)
		for _, gates := range []*gates{s.server.gates, r.own} {
			g.Expect(gates.reads.TryAcquire(1)).To(BeTrue(), "the place is given back")
			g.Expect(gates.ahead.TryAcquire(ReadsAhead)).To(BeTrue(), "and that ahead")
			gates.reads.Release(1)
			gates.ahead.Release(ReadsAhead)
		}
	}
}

// hostileRow panics while the rows of reports are read, as decoding a row might.
type hostileRow struct{ armed atomic.Bool }

func (h *hostileRow) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (h *hostileRow) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (h *hostileRow) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (h *hostileRow) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if h.armed.Load() && strings.HasPrefix(data.SQL, "-- The rows of some reports") {
		panic("a hostile row")
	}
}
func (h *hostileRow) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// A row that makes reading panic costs the request its answer, and nobody else anything, whichever goroutine reads it.
func TestAPanicIsOneRequests(t *testing.T) {
	g := NewWithT(t)
	hostile := &hostileRow{}
	s := start(t)
	id := s.write(remediation{})
	store, err := postgres.Open(t.Context(), s.dsn, postgres.Options{Cluster: "east", Tracer: hostile})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(store.Close)
	s = startOn(t, s.dsn, func(c *Config) { c.Store = store })
	ask := func(path, accept string) int { return s.get(path, "all", "Accept", accept).status }
	for _, asked := range [][2]string{{reports + "/" + id, "application/json"}, {reports + window, "application/json"}, {reports + window, ndjson}} {
		hostile.armed.Store(true)
		g.Expect(ask(asked[0], asked[1])).To(Equal(http.StatusInternalServerError), "%s as %s", asked[0], asked[1])
		hostile.armed.Store(false)
		g.Expect(ask(asked[0], asked[1])).To(Equal(http.StatusOK), "%s as %s", asked[0], asked[1])
	}
}
