package lifecycle

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// ApprovalTimeout is how long an analysis waits for a decision.
func ApprovalTimeout(a *v1alpha1.AIAnalysis) time.Duration {
	if a.Spec.ApprovalTimeout == nil {
		return time.Hour // The CRD has a default; this is for resources older than it.
	}
	return a.Spec.ApprovalTimeout.Duration
}

// ApprovalDeadline is when an analysis ends if it gets no decision. If the status does not have the time of the approval request, because somebody else wrote it, the timeout counts from the creation.
func ApprovalDeadline(a *v1alpha1.AIAnalysis) time.Time {
	asked := a.CreationTimestamp.Time
	if p := a.Status.Approval; p != nil && p.RequestedTime != nil {
		asked = p.RequestedTime.Time
	}
	return asked.Add(ApprovalTimeout(a))
}

// decisionBytes bounds the text of DecisionWanted: it must fit an Event, command and all.
const decisionBytes = 1000

// DecisionWanted returns a text with the recommendation, the deadline and the command for a decision. The analysis must have a recommendation. A decision can be made only once: after a refused one
// the text says so.
func DecisionWanted(a *v1alpha1.AIAnalysis, deadline time.Time) string {
	if refused := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionDecisionRefused); refused != nil {
		return fmt.Sprintf("The decision on AIAnalysis %s is ignored and cannot be repeated. Cancel the request and create it again. %s", a.Name, refused.Message)
	}
	rec := a.Status.Recommendation
	before := fmt.Sprintf("AIAnalysis %s recommends %s (confidence %d %%", a.Name, rec.WorkflowID, rec.Confidence)
	after := fmt.Sprintf("). Approve or reject it before %s: kubectl -n %s patch aianalysis %s --type=merge -p "+
		`'{"spec":{"decision":{"verdict":"Approved","method":"console","decidedBy":"'"$(kubectl auth whoami -o jsonpath='{.status.userInfo.username}')"'"}}}'`,
		deadline.UTC().Format(time.RFC3339), a.Namespace, a.Name)
	parameters := ""
	for _, name := range slices.Sorted(maps.Keys(rec.Parameters)) {
		parameters += fmt.Sprintf(", %s=%s", name, strings.Join(strings.Fields(rec.Parameters[name]), " "))
	}
	if room := decisionBytes - len(before) - len(after); len(parameters) > room {
		parameters = strings.ToValidUTF8(parameters[:max(0, room-len("…"))], "") + "…"
	}
	return before + parameters + after
}
