//go:build unix

package gateway

import (
	"testing"

	. "github.com/onsi/gomega"
)

// A few schedules; `make chaos STORE=gateway` plays as many as are wanted. The seed is one that kills gateway and API server.
func TestAFewSchedules(t *testing.T) {
	g := NewWithT(t)
	s, err := Run(t.Context(), 1, 1, 4, t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Findings).To(BeEmpty())
	g.Expect(s.Schedules).To(Equal(4))
	g.Expect(s.Answered).To(BeNumerically(">", 1000))
}
