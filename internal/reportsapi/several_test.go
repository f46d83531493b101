package reportsapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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
	refused := s.server.several(r, ids, wanted{asOf: s.server.now(), narrative: narrativeNone}, func(_ string, report *rar.Report, refused *httpapi.Problem) *httpapi.Problem {
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
