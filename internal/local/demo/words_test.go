package demo

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/gateway"
)

func entryOf(event, phase, record string) entry {
	var r map[string]any
	if err := json.Unmarshal([]byte(record), &r); err != nil {
		panic(err)
	}
	return entry{1, map[string]any{"event": event, "phase": phase, "final": phase == "Sent", "record": r}}
}

func TestDescribe(t *testing.T) {
	for _, c := range []struct {
		kind, event, phase, record string
		what, detail               string
	}{
		{"RemediationRequest", "Received", "Pending", `{"signal_context":{"name":"KubePodCrashLooping"}}`, "Pending", "accepted: KubePodCrashLooping"},
		{"RemediationRequest", "NotificationStarted", "Notifying", `{}`, "", ""},
		{"RemediationRequest", "Completed", "Completed", `{"outcome":"remediated","total_duration_seconds":13,"bottleneck_phase":"approval_wait","bottleneck_duration_seconds":7}`,
			"Completed", "remediated after 13 s (approval_wait took 7 s)"},
		{"RemediationRequest", "Failed", "Failed", `{"outcome":"failed","total_duration_seconds":0,"failure_reason":"no account"}`, "Failed", "failed after 0 s: no account"},
		{"AIAnalysis", "InvestigationStarted", "Investigating", `{}`, "", ""},
		{"AIAnalysis", "AutoApproved", "Completed", `{"root_cause":"It crashes in 1 of 3 pods.\n- pod x","recommended_action":"rollout-undo","action_confidence":93}`,
			"  analysis", "rollout-undo, confidence 93 %, approved by the policy: It crashes in 1 of 3 pods"},
		{"AIAnalysis", "InvestigationCompleted", "Completed", `{"root_cause":"It is well: 2 of 2 are available; the alert is over."}`, "  analysis", "nothing to do: It is well: 2 of 2 are available"},
		{"AIAnalysis", "Approved", "Completed", `{"approved_by":"jane@example.com","approval_justification":"known"}`, "  approved", "by jane@example.com: known"},
		{"WorkflowExecution", "StepCompleted", "Executing", `{"steps_executed":[{"name":"undo","action":"RolloutUndo","message":"went to 1"}]}`, "  step completed", "undo: went to 1"},
		{"WorkflowExecution", "StepCompleted", "Executing", `{"steps_executed":[{"name":"undo","action":"RolloutUndo"},{"name":"settle","action":"Wait","message":"has(target…"}]}`, "  step completed", "settle"},
		{"WorkflowExecution", "StepRolledBack", "RollingBack",
			`{"steps_executed":[{"name":"raise","action":"SetResources","status":"rolled-back","message":"64Mi to 128Mi | rollback: 128Mi to 64Mi"},{"name":"settle","action":"Wait","status":"failure"}]}`,
			"  step rolled back", "raise: 128Mi to 64Mi"},
		{"WorkflowExecution", "TimedOut", "TimedOut", `{"workflow_id":"increase-memory","outcome":"failure","rollbacks_performed":1}`, "  workflow", "increase-memory: failure, steps rolled back: 1"},
		{"RemediationRequest", "ApprovalReminderStarted", "AwaitingApproval", `{}`, "AwaitingApproval", "still waiting for a decision"},
		{"NotificationRequest", "Asked", "Sent", `{"delivery_status":"success","channels":["console"],"purpose":"ApprovalNeeded"}`, "  asked", "success on console"},
		{"NotificationRequest", "SendingStarted", "Sending", `{}`, "", ""},
		{"NotificationRequest", "DeliverySucceeded", "Sent", `{"delivery_status":"success","channels":["console","slack"]}`, "  notification", "success on console, slack"},
	} {
		t.Run(c.kind+" "+c.event, func(t *testing.T) {
			g := NewWithT(t)
			what, _, detail, ok := describe(kind{name: c.kind}, entryOf(c.event, c.phase, c.record))
			g.Expect(ok).To(Equal(c.what != ""))
			g.Expect(what).To(Equal(c.what))
			g.Expect(detail).To(Equal(c.detail))
		})
	}
}

func TestTable(t *testing.T) {
	g := NewWithT(t)
	got := renderTable([][]string{{"kind", " lost", "why"}, {"Anything", "7", "–"}, {"x", "12", "a longer reason"}}, func(s string) string { return s })
	g.Expect(got).To(Equal("" +
		"   kind       lost   why\n" +
		"   Anything      7   –\n" +
		"   x            12   a longer reason\n"))
}

func TestCut(t *testing.T) {
	g := NewWithT(t)
	g.Expect(cut("two  words\n", 20)).To(Equal("two words"))
	g.Expect(cut("some words, which are too many", 14)).To(Equal("some words…"))
	g.Expect(cut("ünïcödé-without-a-space", 10)).To(Equal("ünïcödé-w…"))
}

func TestColoursOnlyWhereTheyShow(t *testing.T) {
	g := NewWithT(t)
	for _, colour := range []bool{false, true} {
		var out bytes.Buffer
		n := newNarrator(&out, colour, 0)
		n.heading("A step", "what to look for")
		n.step("cart", "failing", red, "it crashes")
		g.Expect(bytes.Contains(out.Bytes(), []byte("\x1b["))).To(Equal(colour))
		g.Expect(out.String()).To(ContainSubstring("it crashes"))
	}
}

func TestLineWriterWaitsForTheEndOfALine(t *testing.T) {
	g := NewWithT(t)
	var lines []string
	w := &lineWriter{say: func(s string) { lines = append(lines, s) }}
	for _, part := range []string{"etcd: re", "ady\n\nkube-api", "server: ready\nrest"} {
		n, err := fmt.Fprint(w, part)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(n).To(Equal(len(part)))
	}
	g.Expect(lines).To(Equal([]string{"etcd: ready", "kube-apiserver: ready"}))
}

// What the namespace tells the gateway is a policy that it can use, with what each workload needs.
func TestTheRulesForTheGateway(t *testing.T) {
	g := NewWithT(t)
	policy, err := gateway.ParsePolicy(gatewayRules(workloads))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(policy.Rules).To(HaveLen(len(workloads)))
	for i, w := range workloads {
		rule := policy.Rules[i]
		g.Expect(rule.Matchers).To(Equal([]string{"deployment=" + w.name}))
		g.Expect(rule.Approval.AutoApproveAbove).To(Equal(w.approveAbove))
		g.Expect(rule.Timeouts.Execution.Duration).To(Equal(w.execution))
		g.Expect(rule.ServiceAccountName).To(Equal(remediator))
	}
}
