//go:build unix

package serving_test

import (
	"testing"

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
