package reportsapi

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// One tenant who asks for what takes long, with as many accounts as they like, leaves a part of each limit to others.
func TestNoTenantTakesEverything(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) {
		c.Limits.Reads, c.Limits.Requests, c.Limits.Streams, c.Limits.Wait = 4, 8, 4, 20*time.Millisecond
	})
	id := s.write(remediation{})
	release := s.blocked()
	replies := make(chan reply, 4)
	for _, account := range []string{"a", "b", "c"} {
		go func() { replies <- s.get(reports+"/"+id, "mallory/"+account) }()
	}
	g.Eventually(s.waiting, patience).Should(Equal(3))
	refused := s.get(reports+"/"+id, "mallory/d")
	g.Expect(refused.status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(refused.problem(t).Detail).To(Equal("you have too many reads under way"))
	g.Expect(testutil.ToFloat64(s.server.metrics.shed.WithLabelValues(shedShare))).To(Equal(1.0))
	go func() { replies <- s.get(reports+"/"+id, "shop") }()
	g.Eventually(s.waiting, patience).Should(Equal(4), "a place is left for another")

	own, leave := s.server.shares.enter("system:serviceaccount:mallory:e")
	g.Expect(own.streams.TryAcquire(3)).To(BeTrue())
	g.Expect(s.get(reports+window, "mallory/f", "Accept", ndjson).status).To(Equal(http.StatusServiceUnavailable))
	g.Expect(own.requests.TryAcquire(3)).To(BeTrue())
	busy := s.get(reports+window, "mallory/g")
	g.Expect(busy.status).To(Equal(http.StatusTooManyRequests))
	g.Expect(busy.header.Get("Retry-After")).NotTo(BeEmpty())
	g.Expect(busy.problem(t).Detail).To(Equal("system:serviceaccount:mallory has 6 requests under way; wait for one of them"))
	leave()
	release()
	statuses := []int{}
	for range 4 {
		statuses = append(statuses, (<-replies).status)
	}
	g.Expect(statuses).To(ConsistOf(http.StatusOK, http.StatusNotFound, http.StatusNotFound, http.StatusNotFound))
	g.Eventually(func() int {
		s.server.shares.mu.Lock()
		defer s.server.shares.mu.Unlock()
		return len(s.server.shares.of)
	}, patience).Should(BeZero(), "nothing is kept of those who are gone")
}

// Naming namespaces counts: each may be a question to the API server.
func TestNamingNamespacesCounts(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.RequestsPerSecond, c.Limits.Burst = 1e-9, 4 })
	many := reports + window
	for i := range 30 {
		many += "&namespace=n" + string(rune('a'+i%26)) + string(rune('a'+i/26))
	}
	g.Expect(s.get(many, "shop").status).To(Equal(http.StatusOK), "as much as four")
	g.Expect(s.get(reports+window, "shop").status).To(Equal(http.StatusTooManyRequests))
	g.Expect(s.get(reports+window, "bank").status).To(Equal(http.StatusOK))
}

// Without names, whoever may not see everything may be asked about in each namespace. That counts too.
func TestNamingNoNamespaceCounts(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.RequestsPerSecond, c.Limits.Burst = 1e-9, 4 })
	const ofTwenty = "many,many,shop"
	g.Expect(s.get(reports+window, ofTwenty).status).To(Equal(http.StatusOK), "as much as three")
	refused := s.get(reports+window, ofTwenty)
	g.Expect(refused.status).To(Equal(http.StatusTooManyRequests))
	g.Expect(refused.problem(t).Detail).To(ContainSubstring("name namespaces"))
	g.Expect(s.get(reports+window+"&namespace=shop", ofTwenty).status).To(Equal(http.StatusOK))
}

// reviewing is an Authorizer that takes long over the rights of one namespace's accounts.
type reviewing struct {
	byToken
	of      string
	asked   *atomic.Int32
	release chan struct{}
}

func (r reviewing) Authorize(ctx context.Context, bearer, verb string, named []string) (Caller, error) {
	if strings.HasPrefix(bearer, r.of+"/") {
		r.asked.Add(1)
		<-r.release
	}
	return r.byToken.Authorize(ctx, bearer, verb, named)
}

// Finding out what somebody may see is within their share, too.
func TestASlowReviewHoldsUpNoOtherTenant(t *testing.T) {
	g := NewWithT(t)
	slow := reviewing{of: "mallory", asked: &atomic.Int32{}, release: make(chan struct{})}
	s := start(t, func(c *Config) { c.Limits.Requests, c.Authorizer = 8, slow })
	replies := make(chan reply, 8)
	for i := range 8 {
		go func() { replies <- s.get(reports+window, fmt.Sprintf("mallory/%d", i)) }()
	}
	g.Eventually(replies, patience).Should(HaveLen(2), "three quarters of the requests are under way")
	g.Expect(slow.asked.Load()).To(BeNumerically("<=", 6))
	g.Expect(s.get(reports+window, "shop").status).To(Equal(http.StatusOK))
	close(slow.release)
	statuses := map[int]int{}
	for range 8 {
		statuses[(<-replies).status]++
	}
	g.Expect(statuses).To(Equal(map[int]int{http.StatusOK: 6, http.StatusTooManyRequests: 2}))
}
