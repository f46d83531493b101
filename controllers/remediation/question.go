package remediation

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Bounds in bytes of what a question quotes, and of how many items. The commands come before the items, so that whatever is quoted they fit into bodyBytes, also where every byte is a line break,
// which is set in.
const (
	proseBytes   = 1200
	excerptBytes = 300
	shortBytes   = 200
	maxQuoted    = 6
)

// question is what a person needs who has to decide: what is wrong, what would be done and with which rights, until when, the commands, and then the evidence.
func (r *Reconciler) question(s *scope) string {
	a, spec := s.analysis(), &s.rr.Spec
	recommended := a.Status.Recommendation
	t := &facts{}
	t.fact("Alert", fmt.Sprintf("%s (%s) from %s", line(spec.Signal.Name), line(spec.Signal.Severity), line(spec.Signal.Source)))
	t.fact("Labels", line(pairs(spec.Signal.Labels)))
	t.fact("Target", fmt.Sprintf("%s %s in namespace %s", spec.Target.Kind, spec.Target.Name, s.rr.Namespace))
	t.fact("Root cause", prose(a.Status.RootCause))
	t.fact("Recommended", fmt.Sprintf("%s (confidence %d %%)", recommended.WorkflowID, recommended.Confidence))
	t.fact("Rationale", prose(recommended.Rationale))
	r.plan(s, t)
	t.fact("Deadline", s.decisionDeadline().UTC().Format(time.RFC3339)+". Without a decision nothing is done")

	t.WriteString("\nTo decide, fill in the reason and run one of these commands. It shows the evidence again and asks before it decides:\n")
	for _, verb := range []string{"approve", "reject"} {
		fmt.Fprintf(t, "kubectl holdfast %s %s -n %s --reason ''\n", verb, a.Name, a.Namespace)
	}

	t.WriteString("\nEvidence and alternatives:\n")
	evidence := a.Status.Evidence
	for _, e := range evidence[:min(len(evidence), maxQuoted)] {
		t.fact("Evidence", line(strings.TrimSpace(e.Tool+" "+e.Purpose))+": "+outbox.Bound(redact.Text(e.Excerpt), excerptBytes))
	}
	alternatives := a.Status.Alternatives
	for _, other := range alternatives[:min(len(alternatives), maxQuoted)] {
		t.fact("Instead of", fmt.Sprintf("%s (%d %%): %s", line(other.Action), other.Confidence, outbox.Bound(redact.Text(other.RejectedReason), excerptBytes)))
	}
	if more := max(0, len(evidence)-maxQuoted) + max(0, len(alternatives)-maxQuoted); more > 0 {
		t.fact("More", fmt.Sprintf("%d items are only in AIAnalysis %s", more, a.Name))
	}
	t.fact("Request", fmt.Sprintf("%s/%s (uid %s)", s.rr.Namespace, s.rr.Name, s.rr.UID))
	return outbox.Bound(t.String(), bodyBytes)
}

// plan says what the recommended workflow does, and as whom. It is what the workflow would be made of.
func (r *Reconciler) plan(s *scope, t *facts) {
	execution, err := r.render(s)
	if err != nil {
		t.fact("Step", "none, because "+line(err.Error()))
		return
	}
	for _, step := range execution.Spec.Steps {
		t.fact("Step "+step.Name, step.Action+" "+line(pairs(step.Parameters)))
	}
	as := "no service account, so no step would run"
	if account := s.rr.Spec.ServiceAccountName; account != "" {
		as = fmt.Sprintf("service account %s of namespace %s", account, s.rr.Namespace)
	}
	t.fact("Runs as", as)
}

// pairs are name=value, by name.
func pairs[V ~string](of map[string]V) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, name+"="+string(of[name]))
	}
	return strings.Join(all, ", ")
}

// line quotes a text on one line.
func line(of string) string { return outbox.Bound(redact.Text(oneLine(of)), shortBytes) }

// prose quotes a text with its lines.
func prose(of string) string { return outbox.Bound(redact.Text(of), proseBytes) }
