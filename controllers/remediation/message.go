package remediation

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// subject is the notification's one line.
func subject(s *scope) string {
	spec := &s.rr.Spec
	what := map[string]string{
		v1alpha1.OutcomeRemediated: "Remediated",
		v1alpha1.OutcomeNoAction:   "No action needed",
		v1alpha1.OutcomeRejected:   "Remediation rejected",
		v1alpha1.OutcomeFailed:     "Remediation failed",
		v1alpha1.OutcomeTimedOut:   "Remediation timed out",
	}[s.rr.Status.Outcome]
	if meta.IsStatusConditionTrue(s.rr.Status.Conditions, v1alpha1.ConditionCoolingDown) {
		what = "Held back after an earlier remediation"
	}
	return fmt.Sprintf("%s: %s on %s %s/%s", what, spec.Signal.Name, spec.Target.Kind, s.rr.Namespace, spec.Target.Name)
}

// body lists what was found, decided and done.
func body(s *scope) string {
	var b strings.Builder
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, text)
		}
	}
	line("Severity", s.rr.Spec.Signal.Severity)
	line("Outcome", s.rr.Status.Outcome)
	line("Reason", s.rr.Status.FailureReason)
	if a := s.analysis(); a != nil {
		line("Root cause", a.Status.RootCause)
		if r := a.Status.Recommendation; r != nil {
			line("Recommended", fmt.Sprintf("%s (%d %% sure): %s", r.WorkflowID, r.Confidence, r.Rationale))
		}
		if p := a.Status.Approval; p != nil {
			line("Approval", strings.TrimSpace(p.Status+" "+p.DecidedBy))
		}
	}
	if w := s.workflow(); w != nil {
		for _, step := range w.Status.Steps {
			line("Step "+step.Name, strings.TrimSuffix(fmt.Sprintf("%s: %s", step.State, step.Message), ": "))
		}
		if e := w.Status.EffectivenessScore; e != nil {
			line("Effectiveness", fmt.Sprintf("%d %%", *e))
		}
	}
	line("Request", fmt.Sprintf("%s/%s (uid %s)", s.rr.Namespace, s.rr.Name, s.rr.UID))
	return b.String()
}
