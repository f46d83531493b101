package remediation

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// noteOf says in one line what the request does in its phase, or how it ended: the message of its Ready condition, and of its Event.
func noteOf(s *scope) string {
	spec, st := &s.rr.Spec, &s.rr.Status
	on := spec.Target.Kind + " " + spec.Target.Name
	switch st.Phase {
	case v1alpha1.RemediationPending:
		return fmt.Sprintf("Alert %s (%s) from %s requests a repair of %s.", oneLine(spec.Signal.Name), spec.Signal.Severity, oneLine(spec.Signal.Source), on)
	case v1alpha1.RemediationAnalyzing:
		return fmt.Sprintf("AIAnalysis %s investigates %s.", st.Analysis, on)
	case v1alpha1.RemediationAwaitingApproval:
		a := s.analysis()
		if p := a.Status.Approval; p == nil || p.RequestedTime == nil || a.Status.Recommendation == nil { // another hand wrote its status
			return fmt.Sprintf("AIAnalysis %s waits for a decision.", st.Analysis)
		}
		return lifecycle.DecisionWanted(a, s.decisionDeadline())
	case v1alpha1.RemediationExecuting:
		return fmt.Sprintf("WorkflowExecution %s runs %s on %s.", st.Workflow, s.analysis().Status.Recommendation.WorkflowID, on)
	case v1alpha1.RemediationNotifying:
		return fmt.Sprintf("NotificationRequest %s sends the outcome. %s", st.Notification, outcomeOf(s))
	}
	return outcomeOf(s)
}

// oneLine is a text of whoever sent the alert, without line breaks: what stands on a line of its own looks like ours. Nor does it have controls, or marks of writing direction, which kubectl prints
// as they are.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cc, unicode.Cf) && r != zeroWidthJoiner {
			return unicode.ReplacementChar
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
}

// zeroWidthJoiner is a part of scripts and emoji.
const zeroWidthJoiner = '\u200d'

// outcomeOf says how the repair ended, and why.
func outcomeOf(s *scope) string {
	st := &s.rr.Status
	text, reason := "Outcome: "+st.Outcome, st.FailureReason
	if n := st.TotalDurationSeconds; n != nil {
		text += fmt.Sprintf(", after %s", time.Duration(*n)*time.Second)
	}
	if a := s.analysis(); reason == "" && st.Outcome == v1alpha1.OutcomeNoAction && a != nil {
		reason = a.Status.NoActionReason
	}
	if by := st.CancelledBy; by != "" && st.Outcome == v1alpha1.OutcomeCancelled {
		reason += " (by " + by + ")"
	}
	return strings.TrimSuffix(text+". "+reason, " ")
}

// decisionDeadline is when the wait for a decision ends: the analysis's own time, or the request's total, whichever is over first.
func (s *scope) decisionDeadline() time.Time {
	deadline := lifecycle.ApprovalDeadline(s.analysis())
	if total := s.rr.Spec.Timeouts.Total; total != nil {
		if end := s.rr.CreationTimestamp.Add(total.Duration); end.Before(deadline) {
			return end
		}
	}
	return deadline
}

// Bounds in bytes of a notification.
const (
	subjectBytes = 512
	bodyBytes    = 12 << 10
)

// subject is the one line of the notification of the outcome.
func subject(s *scope) string {
	what := map[string]string{
		v1alpha1.OutcomeRemediated: "Remediated",
		v1alpha1.OutcomeNoAction:   "No action needed",
		v1alpha1.OutcomeRejected:   "Remediation rejected",
		v1alpha1.OutcomeFailed:     "Remediation failed",
		v1alpha1.OutcomeTimedOut:   "Remediation timed out",
	}[s.rr.Status.Outcome]
	if meta.IsStatusConditionTrue(s.rr.Status.Conditions, v1alpha1.ConditionCoolingDown) {
		what = "Not started after an earlier remediation"
	}
	return s.about(what)
}

// about says what a message is about.
func (s *scope) about(title string) string {
	spec := &s.rr.Spec
	return fmt.Sprintf("%s: %s on %s %s/%s", title, oneLine(spec.Signal.Name), spec.Target.Kind, s.rr.Namespace, spec.Target.Name)
}

// facts is the body of a message: one fact a line.
type facts struct{ strings.Builder }

// fact writes a line, if there is something to say. Texts quote what strangers write, such as Events: what they begin on a new line is set in, so that it does not look like a line of ours.
func (t *facts) fact(name, value string) {
	if value = strings.TrimSpace(value); value != "" {
		fmt.Fprintf(t, "%s: %s\n", name, strings.ReplaceAll(breaks.Replace(value), "\n", "\n  "))
	}
}

// breaks makes a line break of all that is shown as one.
var breaks = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")

// body lists what was found, decided and done.
func body(s *scope) string {
	t := &facts{}
	t.fact("Severity", s.rr.Spec.Signal.Severity)
	t.fact("Outcome", s.rr.Status.Outcome)
	t.fact("Reason", s.rr.Status.FailureReason)
	if a := s.analysis(); a != nil {
		t.fact("Root cause", a.Status.RootCause)
		if r := a.Status.Recommendation; r != nil {
			t.fact("Recommended", fmt.Sprintf("%s (confidence %d %%): %s", r.WorkflowID, r.Confidence, r.Rationale))
		}
		if p := a.Status.Approval; p != nil {
			t.fact("Approval", strings.TrimSpace(p.Status+" "+p.DecidedBy))
		}
	}
	if w := s.workflow(); w != nil {
		for _, step := range w.Status.Steps {
			t.fact("Step "+step.Name, strings.TrimSuffix(fmt.Sprintf("%s: %s", step.State, step.Message), ": "))
		}
		if e := w.Status.EffectivenessScore; e != nil {
			t.fact("Effectiveness", fmt.Sprintf("%d %%", *e))
		}
	}
	t.fact("Request", fmt.Sprintf("%s/%s (uid %s)", s.rr.Namespace, s.rr.Name, s.rr.UID))
	return t.String()
}
