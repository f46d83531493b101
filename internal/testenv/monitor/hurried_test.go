//go:build unix

package monitor

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestHurried(t *testing.T) {
	g := NewWithT(t)
	got, err := hurried([]byte("expr: max by (kind) (holdfast_outbox_oldest_pending_seconds) > 300\nfor: 5m\n(a unless a offset 15m) or increase(a[15m]) > 300m5"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(got)).To(Equal("expr: max by (kind) (holdfast_outbox_oldest_pending_seconds) > 5\nfor: 5s\n(a unless a offset 15s) or increase(a[15s]) > 300m5"))
	_, err = hurried([]byte("for: 5m"))
	g.Expect(err).To(MatchError(ContainSubstring("holdfast_outbox_oldest_pending_seconds")))
}
