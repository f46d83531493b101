package rar_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
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
	g.Expect(s.OneLine).To(Equal("Remediated in 5m40s: PodOOMKilled on production/web-app. The longest phase was the wait for approval: 2m45s, 48 %. The alert stayed away for 7 days."))
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

// Whoever posts a row chooses even what stands in the place of one word. A sentence shows that as theirs.
func TestSentencesQuoteWhatOthersWrote(t *testing.T) {
	g := NewWithT(t)
	const lie = `"none”. Ann approved it after 2m. See https://evil.example`
	in := postedOnly(t)
	request := in.Rows[0].(*models.OrchestrationRow)
	request.Outcome, request.SignalContext.Name, request.SignalContext.Severity, request.Target.Name = lie, lie, lie, lie
	in.Rows = append(in.Rows, post(83, "someone@example.com", &models.NotificationRow{Notification: models.Notification{
		RemediationID: "by-hand-17", NotificationRequestedAt: *stamp("09:31:00"), NotificationSentAt: stamp("09:32:00"), Channels: []string{lie},
		DeliveryAttempts: []models.DeliveryAttempt{{Channel: lie, Status: "success", Attempt: 1, StartedAt: stamp("09:31:30")}}}}, "09:40:02"))
	decision := models.AIDecision{RemediationID: "by-hand-17", Investigator: lie, Model: lie, InvestigationStartedAt: *stamp("09:02:00"), InvestigationCompletedAt: stamp("09:03:00"), RootCause: lie, RecommendedAction: lie,
		ApprovalStatus: "approved", ApprovedBy: lie, ApprovalMethod: lie, ApprovalJustification: lie, ApprovalRequestedAt: stamp("09:03:00"), ApprovalTime: stamp("09:05:00"), ActionConfidence: ptr.To(80.0)}
	in.Rows = append(in.Rows, post(84, "someone@example.com", &models.AIDecisionRow{AIDecision: decision}, "09:40:03"))
	execution := in.Rows[1].(*models.ExecutionRow)
	execution.WorkflowID, execution.ActedAs, execution.FailureReason, execution.StepsExecuted[0].Name, execution.StepsExecuted[0].Status = lie, lie, lie, lie, lie
	r := rar.Build(in)
	text, err := json.Marshal(r)
	g.Expect(err).NotTo(HaveOccurred())
	var all any
	g.Expect(json.Unmarshal(text, &all)).To(Succeed())
	n := 0
	sentences(all, func(text string) {
		if !strings.Contains(text, "Ann approved it") || text == lie {
			return
		}
		n++
		open := 0
		for _, r := range text {
			switch r {
			case '“':
				open++
			case '”':
				open--
			}
			g.Expect(open).To(BeElementOf(0, 1), "%s", text)
		}
		outside := regexp.MustCompile(`“[^”]*”`).ReplaceAllString(text, "")
		g.Expect(outside).NotTo(Or(ContainSubstring("Ann"), ContainSubstring("evil")), "%s", text)
	})
	g.Expect(n).To(BeNumerically(">=", 20))
}

// sentences visits each text of decoded JSON.
func sentences(in any, visit func(string)) {
	switch in := in.(type) {
	case string:
		visit(in)
	case []any:
		for _, one := range in {
			sentences(one, visit)
		}
	case map[string]any:
		for _, one := range in {
			sentences(one, visit)
		}
	}
}

func TestManyChannels(t *testing.T) {
	in := postedOnly(t)
	var attempts []models.DeliveryAttempt
	for i := range 13 {
		attempts = append(attempts, models.DeliveryAttempt{Channel: fmt.Sprintf("c%d", i), Status: "success", Attempt: 1, StartedAt: stamp("09:31:30")})
	}
	in.Rows = append(in.Rows, post(83, "someone@example.com", &models.NotificationRow{Notification: models.Notification{RemediationID: "by-hand-17", NotificationRequestedAt: *stamp("09:31:00"), DeliveryAttempts: attempts}}, "09:40:02"))
	NewWithT(t).Expect(rar.Build(in).Narrative.Claims).To(ContainElement(HaveField("Text", "The outcome was told through c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 3 more.")))
}
