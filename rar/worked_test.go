package rar_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"

	"github.com/holdfast-dev/holdfast/rar"
)

// Each number of the worked example.
func TestTheWorkedExampleSaysItsNumbers(t *testing.T) {
	g := NewWithT(t)
	r := rar.Build(worked(t))

	g.Expect(r.Complete).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"State": Equal("final"), "Missing": BeEmpty(), "DeadLetters": BeEmpty(), "ClockSkew": BeEmpty(), "Reasons": BeEmpty()}))
	g.Expect(r.Complete.Chain).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Verified": BeTrue(), "Rows": Equal(16)}))

	s := r.Summary
	g.Expect(s.Outcome).To(Equal("remediated"))
	g.Expect(s.TotalSeconds).To(HaveValue(Equal(340.0)), "5m40s")
	g.Expect(s.OneLine).To(Equal("Remediated in 5m40s: PodOOMKilled on production/web-app. Most of the time went to the wait for approval: 2m45s, 48 %. The alert stayed away for 7 days."))
	g.Expect(s.Severity).To(Equal("critical"))

	offsets := map[string]int64{}
	for _, e := range r.Timeline.Events {
		if _, known := offsets[e.Event]; !known {
			offsets[e.Event] = e.OffsetMS / 1000
		}
	}
	for event, seconds := range map[string]int64{"SignalReceived": 0, "RequestCreated": 5, "InvestigationStarted": 10, "InvestigationCompleted": 105, "ApprovalRequested": 150, "Approved": 315,
		"ExecutionStarted": 320, "StepCompleted": 325, "ExecutionCompleted": 335, "DeliveryAttempted": 340} {
		g.Expect(offsets).To(HaveKeyWithValue(event, seconds))
	}

	g.Expect(r.Bottleneck).To(gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Phase": Equal("approval_wait"), "Seconds": Equal(165.0), "Share": Equal(0.4852), "ExcessSeconds": HaveValue(Equal(80.0))})))
	total := 0.0
	for _, p := range r.Bottleneck.Breakdown {
		total += p.Seconds
	}
	g.Expect(total).To(Equal(340.0), "the parts add up to the total")

	g.Expect(r.Execution).To(gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"StepsSucceeded": BeEquivalentTo(2), "StepsFailed": BeZero(), "Retries": BeZero(), "Steps": HaveLen(2)})))
	for _, step := range r.Execution.Steps {
		g.Expect(step.Status).To(Equal("success"))
		g.Expect(step.Duration).To(BeEquivalentTo(5))
	}
	g.Expect(r.Execution.PostConditionsPassed).To(HaveValue(BeTrue()))

	g.Expect(r.AI.Verdict).To(Equal("correct"))
	g.Expect(r.AI.ActionConfidence).To(HaveValue(Equal(75.0)))
	g.Expect(r.AI.Alternatives).To(HaveLen(1))
	alternative := r.AI.Alternatives[0]
	g.Expect(alternative.Action).To(Equal("increase the memory limit"))
	g.Expect(alternative.RejectedReason).To(ContainSubstring("capacity"))
	g.Expect(alternative.Hindsight.Verdict).To(Equal("rightly-not-taken"))
	g.Expect(alternative.Hindsight.Text).To(HavePrefix("Rightly not taken, as far as the record says"))

	g.Expect(r.Approval).To(gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Status": Equal("approved"), "By": Equal("ops-engineer@example.com"), "WaitSeconds": HaveValue(Equal(165.0))})))

	h := r.History
	g.Expect(h).To(gstruct.PointTo(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"N": BeEquivalentTo(15), "Success": BeEquivalentTo(14),
		"Rate": HaveValue(Equal(0.9333)), "Mean": HaveValue(Equal(260.0)), "Longer": HaveValue(Equal(0.3076)),
		"Interval": HaveValue(Equal([2]float64{0.7018, 0.9881}))})))
	g.Expect(h.Text).To(And(ContainSubstring("93 %"), ContainSubstring("4m20s"), ContainSubstring("30 % longer")))

	g.Expect(r.Recommendations).NotTo(BeEmpty())
	first := r.Recommendations[0]
	g.Expect(first).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Priority": Equal(1), "Rule": Equal("approve-automatically"), "SavingSeconds": HaveValue(Equal(165.0)), "Origin": Equal("rule")}))
	g.Expect(first.Text).To(ContainSubstring("2m45s"))

	for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML} {
		text := string(render(t, r, format))
		for _, said := range []string{"5m40s", "2m45s", "48 %", "93 %", "4m20s", "30 %"} {
			g.Expect(strings.Contains(text, said)).To(BeTrue(), "%s says %s", format, said)
		}
	}
}
