//go:build unix

package gateway

import (
	"testing"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	ctrl "sigs.k8s.io/controller-runtime"
)

// One schedule; `make chaos STORE=gateway` plays as many as are wanted.
func TestASchedule(t *testing.T) {
	g := NewWithT(t)
	ctrl.SetLogger(logr.Discard())
	s, err := Run(t.Context(), 1, 1, 1, t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.Findings).To(BeEmpty())
	g.Expect(s.Schedules).To(Equal(1))
	g.Expect(s.Answered).To(BeNumerically(">", 0))
}
