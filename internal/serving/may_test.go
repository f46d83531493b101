//go:build unix

package serving_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// Further rights are asked about once, for whoever has a token, and never for a token that is none.
func TestFurtherRightsAreRemembered(t *testing.T) {
	g := NewWithT(t)
	c := newCaller(t, "create")
	asked := &traffic{}
	r, err := serving.NewReviewer(asked.on(admin), serving.Options{Audience: audience, Anybody: true})
	g.Expect(err).NotTo(HaveOccurred())
	token := c.token(t, audience)
	right := func(verb, namespace string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "auditrecords", Verb: verb, Namespace: namespace}
	}
	for range 2 {
		for verb, want := range map[string]bool{"create": true, "relay": false} {
			may, err := r.May(t.Context(), token, right(verb, c.namespace))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(may).To(Equal(want), verb)
		}
	}
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(1))
	g.Expect(asked.access.Load()).To(BeEquivalentTo(2))
	_, err = r.May(t.Context(), "invented", right("create", c.namespace))
	g.Expect(err).To(MatchError(serving.ErrUnauthenticated))
	v, err := r.Review(t.Context(), newCaller(t).token(t, audience))
	g.Expect(err).NotTo(HaveOccurred(), "whoever has a token is let in")
	g.Expect(v.May).To(BeEmpty())
}

// A user makes any number of tokens: their rights are asked about once.
func TestRightsAreRememberedByUser(t *testing.T) {
	g := NewWithT(t)
	c, other := newCaller(t, "create"), newCaller(t)
	asked := &traffic{}
	r, err := serving.NewReviewer(asked.on(admin), serving.Options{Audience: audience, Anybody: true})
	g.Expect(err).NotTo(HaveOccurred())
	right := authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "auditrecords", Verb: "create"}
	first := c.token(t, audience)
	_, known := r.Remembered(first, right)
	g.Expect(known).To(BeFalse())
	for _, token := range []string{first, c.token(t, audience), c.token(t, audience, "elsewhere")} {
		may, err := r.May(t.Context(), token, right)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(may).To(BeTrue())
		may, known = r.Remembered(token, right)
		g.Expect(may && known).To(BeTrue())
	}
	g.Expect(asked.tokens.Load()).To(BeEquivalentTo(3))
	g.Expect(asked.access.Load()).To(BeEquivalentTo(1))
	may, err := r.May(t.Context(), other.token(t, audience), right)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(may).To(BeFalse(), "another user is another question")
}

// Reviews of one tenant's rights take long. Three quarters of the turns are theirs at most, whatever number of accounts they have.
func TestReviewsOfOneTenantLeaveTurnsToOthers(t *testing.T) {
	g := NewWithT(t)
	slow, other := newCaller(t), newCaller(t, "create")
	var held atomic.Int32
	release := make(chan struct{})
	asked := &traffic{before: func(r *http.Request) error {
		body, err := r.GetBody()
		if err != nil {
			return err
		}
		text, err := io.ReadAll(body)
		if strings.HasSuffix(r.URL.Path, "/subjectaccessreviews") && strings.Contains(string(text), slow.user()) {
			held.Add(1)
			<-release
		}
		return err
	}}
	r, err := serving.NewReviewer(asked.on(admin), serving.Options{Audience: audience, Anybody: true, Concurrent: 4, Timeout: time.Minute})
	g.Expect(err).NotTo(HaveOccurred())
	right := func(namespace string) authorizationv1.ResourceAttributes {
		return authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "auditrecords", Verb: "create", Namespace: namespace}
	}
	token := slow.token(t, audience)
	_, err = r.Review(t.Context(), token)
	g.Expect(err).NotTo(HaveOccurred())
	var together sync.WaitGroup
	for i := range 10 {
		together.Go(func() {
			_, err := r.May(t.Context(), token, right(fmt.Sprint("n", i)))
			g.Expect(err).NotTo(HaveOccurred())
		})
	}
	g.Eventually(held.Load, enforceTimeout, poll).Should(BeEquivalentTo(3))
	may, err := r.May(t.Context(), other.token(t, audience), right(other.namespace))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(may).To(BeTrue())
	g.Expect(held.Load()).To(BeEquivalentTo(3))
	close(release)
	together.Wait()
	g.Expect(held.Load()).To(BeEquivalentTo(10))
}

func TestTenant(t *testing.T) {
	g := NewWithT(t)
	for user, tenant := range map[string]string{
		"ann": "ann", "system:serviceaccount:shop:cart": "system:serviceaccount:shop", "system:serviceaccount:shop:": "system:serviceaccount:shop", "system:node:a": "system:node:a",
	} {
		g.Expect(serving.Tenant(user)).To(Equal(tenant))
	}
}
