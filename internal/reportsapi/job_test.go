package reportsapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	. "github.com/onsi/gomega"
)

// A job keeps no more results, and no more bytes, than fit in memory. It says so, and keeps what it has.
func TestAJobIsBounded(t *testing.T) {
	r := &request{Request: httptest.NewRequestWithContext(t.Context(), http.MethodPost, pathBatch, http.NoBody)}
	for name, test := range map[string]struct {
		before  func(*job)
		results int
		detail  string
	}{
		"results": {func(j *job) {
			for range maxBatch {
				NewWithT(t).Expect(j.keep(r, "an id", nil, notFound(remediationOfID))).To(BeNil())
			}
		}, maxBatch, "there are more than 500 remediations; ask for a shorter window"},
		"bytes": {func(j *job) { j.bytes = maxJobBytes }, 0, "the results have more than 33554432 bytes; ask for fewer"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			j := &job{state: jobRunning}
			test.before(j)
			refused := j.keep(r, "one more", nil, notFound(remediationOfID))
			g.Expect(refused).To(HaveField("Status", http.StatusUnprocessableEntity))
			g.Expect(refused.Detail).To(Equal(test.detail))
			j.finish(context.Background(), refused)
			seen := j.view(0)
			g.Expect(seen.State).To(Equal(jobFailed))
			g.Expect(seen.Problem).To(Equal(refused))
			g.Expect(seen.Counts.Total).To(Equal(test.results))
		})
	}
}
