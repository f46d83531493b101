package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// alertRule is what an alerting rule adds to an alert. short makes the name of the request.
type alertRule struct{ name, short, severity, summary string }

// notice is what Alertmanager posts to a webhook (payload version 4), as far as it is used here.
type notice struct {
	Version  string  `json:"version"`
	Status   string  `json:"status"`
	Receiver string  `json:"receiver"`
	Alerts   []alert `json:"alerts"`
}

// alert is one of its alerts. startsAt has nanoseconds, as Alertmanager sends them.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
}

// fire is the notice about a workload.
func fire(w workload, now time.Time) ([]byte, error) {
	return json.Marshal(notice{Version: "4", Status: "firing", Receiver: "holdfast", Alerts: []alert{{
		Status:      "firing",
		Labels:      map[string]string{"alertname": w.alert.name, "severity": w.alert.severity, "namespace": namespace, "deployment": w.name},
		Annotations: map[string]string{"summary": w.alert.summary},
		StartsAt:    now,
	}}})
}

// requestsFrom turns a notice into requests, one for each alert that fires. What an alert does not say comes from the workload's policy.
func requestsFrom(payload []byte, name string, w workload) ([]*v1alpha1.RemediationRequest, error) {
	var n notice
	if err := json.Unmarshal(payload, &n); err != nil {
		return nil, fmt.Errorf("read the notice of Alertmanager: %w", err)
	}
	var requests []*v1alpha1.RemediationRequest
	for _, a := range n.Alerts {
		if a.Status != "firing" {
			continue
		}
		signal := v1alpha1.Signal{
			Fingerprint: fingerprint(a.Labels), Name: a.Labels["alertname"], Severity: a.Labels["severity"], Source: "alertmanager",
			ReceivedTime: outboxapi.NewTime(a.StartsAt), Labels: map[string]v1alpha1.LabelValue{}, Annotations: map[string]v1alpha1.AnnotationValue{},
		}
		for k, v := range a.Labels {
			signal.Labels[k] = v1alpha1.LabelValue(v)
		}
		for k, v := range a.Annotations {
			signal.Annotations[k] = v1alpha1.AnnotationValue(v)
		}
		requests = append(requests, &v1alpha1.RemediationRequest{
			ObjectMeta: metav1.ObjectMeta{Namespace: a.Labels["namespace"], Name: name},
			Spec: v1alpha1.RemediationRequestSpec{
				Signal:             signal,
				Target:             v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: a.Labels["deployment"]},
				ServiceAccountName: remediator,
				Approval:           w.policy(),
				Timeouts:           v1alpha1.RemediationTimeouts{Execution: &metav1.Duration{Duration: w.execution}},
			},
		})
	}
	return requests, nil
}

func (w workload) policy() v1alpha1.ApprovalPolicy {
	if w.approveAbove == nil {
		return v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
	}
	return v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: w.approveAbove}
}

// fingerprint identifies an alert by its labels: 64 hex digits of SHA-256 over the sorted pairs.
func fingerprint(labels map[string]string) string {
	sum := sha256.New()
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(sum, "%q=%q\n", k, labels[k])
	}
	return hex.EncodeToString(sum.Sum(nil))
}
