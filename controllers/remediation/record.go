package remediation

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/redact"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
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
			Name: rr.Spec.Signal.Name, Severity: rr.Spec.Signal.Severity, Source: rr.Spec.Signal.Source, Labels: labels(rr.Spec.Signal.Labels),
		},
		Target:        &models.Target{APIVersion: rr.Spec.Target.APIVersion, Kind: rr.Spec.Target.Kind, Name: rr.Spec.Target.Name},
		Outcome:       st.Outcome,
		FailureReason: st.FailureReason,
	}
	if b := st.Bottleneck; b != nil {
		r.BottleneckPhase, r.BottleneckDurationSeconds = b.Phase, &b.DurationSeconds
	}
	return r
}

// labelBytes of an alert's labels are kept in each entry: the record must fit whatever the alert says, or nothing could be recorded, not even the end.
const labelBytes = 16 << 10

// cutLabel says what was left out.
const cutLabel = "holdfast.dev/cut"

// labels keeps the alert's labels, in the order of their names, until labelBytes are used up. It counts bytes as they are written: in JSON, with credentials replaced. If
// some do not fit, cutLabel says how many, and the SHA-256 of all labels as JSON.
func labels(in map[string]v1alpha1.LabelValue) map[string]string {
	out, bytes := make(map[string]string, len(in)), 0
	for _, k := range slices.Sorted(maps.Keys(in)) {
		value := redact.Text(string(in[k]))
		written, _ := json.Marshal(map[string]string{k: value}) //nolint:errchkjson // a map of texts always encodes
		if bytes += len(written); bytes > labelBytes {
			all, _ := json.Marshal(in) //nolint:errchkjson // a map of texts always encodes
			out[cutLabel] = fmt.Sprintf("%d of %d labels, sha256 of all %s", len(in)-len(out), len(in), outbox.Hash(all))
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
