package plugin

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestCut(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"short", "short"},
		{"1234567890", "1234567890"},
		{"12345678901", "123456789…"},
		{"äöüäöüäöüäöü", "äöüäöüäöü…"},
		{"\x1b[1m1234567890\x1b[0m", "\x1b[1m1234567890\x1b[0m"},
		{"\x1b[1m12345678901\x1b[0m", "\x1b[1m123456789…\x1b[0m"},
	} {
		NewWithT(t).Expect(cut(test.line, 10)).To(Equal(test.want))
	}
}

func TestNarrowTables(t *testing.T) {
	g := NewWithT(t)
	rows := func() [][]string {
		return [][]string{{"shop", "remediationrequest.holdfast.dev/cart-crash-1", "AwaitingApproval", "pending", "1"}}
	}
	header := []string{"NAMESPACE", "NAME", "PHASE", "STATE", "PENDING"}
	wide := &page{}
	wide.table(append([]string{}, header...), rows())
	g.Expect(wide.buffer.String()).To(ContainSubstring("remediationrequest.holdfast.dev/cart-crash-1"))
	narrow := &page{columns: 50}
	narrow.table(append([]string{}, header...), rows())
	g.Expect(narrow.buffer.String()).To(Equal("NAMESPACE  NAME       PHASE       STATE    PENDING\n" + "shop       reme…sh-1  Await…oval  pending  1\n"))
}
