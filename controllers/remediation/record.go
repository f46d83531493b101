package remediation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/redact"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
)

// Record is the audit record of a request's present state.
func Record(rr *v1alpha1.RemediationRequest) models.Orchestration {
	st := &rr.Status
	r := models.Orchestration{
		RemediationID:        string(rr.UID),
		SignalFingerprint:    rr.Spec.Signal.Fingerprint,
		SignalReceivedAt:     rr.Spec.Signal.ReceivedTime,
		RemediationCreatedAt: outboxapi.NewTime(rr.CreationTimestamp.Time),
		AIAnalysisStartedAt:  st.AnalysisStartedTime,
		WorkflowStartedAt:    st.WorkflowStartedTime,
		NotificationSentAt:   st.NotificationSentTime,
		CompletedAt:          st.CompletedTime,
		ServicesInvoked:      services(st),
		ServiceTransitions:   serviceTransitions(st),
		TotalDurationSeconds: st.TotalDurationSeconds,
		SignalContext: &models.SignalContext{
			Name: rr.Spec.Signal.Name, Severity: rr.Spec.Signal.Severity, Source: rr.Spec.Signal.Source,
			Labels: bounded("labels", rr.Spec.Signal.Labels), Annotations: bounded("annotations", rr.Spec.Signal.Annotations),
		},
		Target:        &models.Target{APIVersion: rr.Spec.Target.APIVersion, Kind: rr.Spec.Target.Kind, Name: rr.Spec.Target.Name, UID: string(st.TargetUID)},
		Outcome:       st.Outcome,
		FailureReason: st.FailureReason,
		Policy:        policyOf(&rr.Spec),
		Children:      children(st),
		RequestedBy:   st.RequestedBy,
		CancelledBy:   st.CancelledBy,
	}
	if b := st.Bottleneck; b != nil {
		r.BottleneckPhase, r.BottleneckDurationSeconds = b.Phase, &b.DurationSeconds
	}
	return r
}

// policyOf is what the request laid down.
func policyOf(spec *v1alpha1.RemediationRequestSpec) *models.Policy {
	p := &models.Policy{ServiceAccountName: spec.ServiceAccountName, ApprovalMode: string(spec.Approval.Mode), TimeoutSeconds: map[string]int64{}}
	if above := spec.Approval.AutoApproveAbove; above != nil {
		p.AutoApproveAbove = ptr.To(int64(*above))
	}
	for _, c := range spec.Notification.Channels {
		p.Channels = append(p.Channels, string(c.Type))
	}
	t := &spec.Timeouts
	for phase, d := range map[string]*metav1.Duration{"analysis": t.Analysis, "approval": t.Approval, "execution": t.Execution, "notification": t.Notification, "total": t.Total} {
		if d != nil {
			p.TimeoutSeconds[phase] = int64(d.Duration / time.Second)
		}
	}
	if ttl := spec.TTLAfterFinished; ttl != nil {
		p.TTLAfterFinishedSeconds = ptr.To(int64(ttl.Duration / time.Second))
	}
	return p
}

// children are those that were adopted: a name without a uid was only chosen.
func children(st *v1alpha1.RemediationRequestStatus) []models.Child {
	var all []models.Child
	for _, c := range []struct {
		service, name string
		uid           types.UID
	}{
		{v1alpha1.ServiceAIAnalysis, st.Analysis, st.AnalysisUID},
		{v1alpha1.ServiceWorkflowExecution, st.Workflow, st.WorkflowUID},
		{v1alpha1.ServiceNotification, st.ApprovalNotification, st.ApprovalNotificationUID},
		{v1alpha1.ServiceNotification, st.ApprovalReminder, st.ApprovalReminderUID},
		{v1alpha1.ServiceNotification, st.Notification, st.NotificationUID},
	} {
		if c.uid != "" {
			all = append(all, models.Child{Service: c.service, Name: c.name, UID: string(c.uid)})
		}
	}
	return all
}

// mapBytes of an alert's labels, and of its annotations, are kept in each entry: the record must fit whatever the alert says, or nothing could be recorded, not even the end.
const mapBytes = 16 << 10

// cutKey says what was left out.
const cutKey = "holdfast.dev/cut"

// bounded keeps the alert's labels or annotations, in the order of their names, until mapBytes are used up. It counts bytes as they are written: in JSON, with credentials replaced. If
// some do not fit, cutKey says how many, and the SHA-256 of all of them as JSON.
func bounded[T ~string](what string, in map[string]T) map[string]string {
	out, bytes := make(map[string]string, len(in)), 0
	for _, k := range slices.Sorted(maps.Keys(in)) {
		value := redact.Text(string(in[k]))
		written, _ := json.Marshal(map[string]string{k: value}) //nolint:errchkjson // a map of texts always encodes
		if bytes += len(written); bytes > mapBytes {
			all, _ := json.Marshal(in) //nolint:errchkjson // a map of texts always encodes
			out[cutKey] = fmt.Sprintf("%d of %d %s, sha256 of all %s", len(in)-len(out), len(in), what, entry.Hash(all))
			break
		}
		out[k] = value
	}
	return out
}

// invocation is when a service took over.
type invocation struct {
	service string
	at      *outboxapi.Time
}

func invocations(st *v1alpha1.RemediationRequestStatus) []invocation {
	var all []invocation
	for _, i := range []struct {
		child   string
		service string
		phase   v1alpha1.RemediationPhase
	}{
		{st.Analysis, v1alpha1.ServiceAIAnalysis, v1alpha1.RemediationAnalyzing},
		{st.Workflow, v1alpha1.ServiceWorkflowExecution, v1alpha1.RemediationExecuting},
		{st.Notification, v1alpha1.ServiceNotification, v1alpha1.RemediationNotifying},
	} {
		if at := entered(st, i.phase); i.child != "" && at != nil { // a child's name may be set before the child is made
			all = append(all, invocation{i.service, at})
		}
	}
	return all
}

func services(st *v1alpha1.RemediationRequestStatus) []string {
	var names []string
	for _, i := range invocations(st) {
		names = append(names, i.service)
	}
	return names
}

// serviceTransitions are the hand-overs; the wait for an approval belongs to the analysis, as it does in the resources.
func serviceTransitions(st *v1alpha1.RemediationRequestStatus) []models.ServiceTransition {
	var all []models.ServiceTransition
	invoked := invocations(st)
	for i := 1; i < len(invoked); i++ {
		spent := between(invoked[i-1].at, invoked[i].at).Truncate(time.Second)
		all = append(all, models.ServiceTransition{From: invoked[i-1].service, To: invoked[i].service, Duration: spent.String()})
	}
	return all
}
