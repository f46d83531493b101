package plugin

import (
	"strings"
	"testing"
	"unicode/utf8"

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
		return [][]string{
			{"shop", "remediationrequest.holdfast.dev/cart-crash-of-tonight-1", "AwaitingApproval", "pending", "1", "3m", "29m"},
			{"shop", "backup.backups.example.com/a.b", "", "drained", "0", "-", "29m"},
		}
	}
	header := func() []string { return []string{"NAMESPACE", "NAME", "PHASE", "STATE", "PENDING", "OLDEST", "AGE"} }
	shown := func(columns int) string {
		p := &page{columns: columns}
		p.table(header(), rows())
		for line := range strings.Lines(p.buffer.String()) {
			g.Expect(columns == 0 || utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) <= max(columns, 57)).To(BeTrue(), line)
		}
		return p.buffer.String()
	}
	g.Expect(shown(0)).To(ContainSubstring("remediationrequest.holdfast.dev/cart-crash-of-tonight-1"))
	g.Expect(shown(100)).To(ContainSubstring("shop       rr/cart-crash-of-tonight-1  AwaitingApproval  pending  1        3m      29m\n"))
	g.Expect(shown(60)).To(Equal("NAMESPACE  NAME                PHASE        STATE    PENDING\n" +
		"shop       rr/cart-c…onight-1  Await…roval  pending  1\n" +
		"shop       backup/a.b          -            drained  0\n"))
	g.Expect(shown(20)).To(ContainSubstring("shop       rr/cart-…night-1  Await…oval  pending  1\n"), "the terminal cuts it")
	p := &page{columns: 40}
	p.table([]string{"KIND", "RESOURCES", "BLOCKED", "HELD"}, [][]string{{"notificationrequests.holdfast.dev", "1", "0", "0"}, {"total", "1", "0", "0"}})
	g.Expect(p.buffer.String()).To(Equal("KIND   RESOURCES  BLOCKED  HELD\nnr     1          0        0\ntotal  1          0        0\n"))
}
