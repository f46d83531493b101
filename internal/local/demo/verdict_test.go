//go:build unix

package demo

import (
	"encoding/json"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

func TestVerdictOfACleanReport(t *testing.T) {
	g := NewWithT(t)
	v := newVerdict(oracle.Report{
		Kinds: []oracle.Counts{{Kind: "AIAnalysis", Resources: 1, Appended: 2, Rows: 1, DeadLetters: 1}},
		Total: oracle.Counts{Kind: "total", Resources: 1, Appended: 2, Rows: 1, DeadLetters: 1},
	})
	g.Expect(v.Clean()).To(BeTrue())
	g.Expect(v.Total).To(Equal(Count{Kind: "total", Resources: 1, Appended: 2, Rows: 1, DeadLetters: 1}))
	g.Expect(v.Kinds).To(HaveLen(len(kinds)), "the kinds of which nothing was seen too")
	g.Expect(v.Kinds[0]).To(Equal(Count{Kind: "RemediationRequest"}))
	g.Expect(v.Kinds[1]).To(Equal(Count{Kind: "AIAnalysis", Resources: 1, Appended: 2, Rows: 1, DeadLetters: 1}))
	text, err := json.Marshal(v)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).To(ContainSubstring(`"faults":[]`))
}

func TestVerdictNamesEachDifference(t *testing.T) {
	for _, class := range []oracle.Class{
		oracle.Lost, oracle.Doubled, oracle.OutOfOrder, oracle.ChainBreak, oracle.Changed, oracle.Foreign, oracle.Undrained, oracle.Gap,
	} {
		t.Run(string(class), func(t *testing.T) {
			g := NewWithT(t)
			v := newVerdict(oracle.Report{Differences: []oracle.Difference{{Class: class, Kind: "AIAnalysis", UID: "uid", Sequence: 3, Detail: "why"}}})
			g.Expect(v.Clean()).To(BeFalse())
			g.Expect(v.Faults).To(ConsistOf(And(ContainSubstring(string(class)), ContainSubstring("entry 3: why"))))
		})
	}
}
