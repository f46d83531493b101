package config

import (
	"context"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// probeAnnotation, on a dry run, makes the policies refuse: see config/admission.
const probeAnnotation = "holdfast.dev/policy-probe"

// probe is a dry run that a policy refuses once it is enforced.
type probe struct {
	policy   string
	resource schema.GroupVersionResource
	kind     string
	spec     map[string]any
}

var (
	group       = schema.GroupVersion{Group: "holdfast.dev", Version: "v1alpha1"}
	probeRef    = map[string]any{"name": "probe", "uid": "probe"}
	probeTarget = map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "probe"}
	probeSignal = map[string]any{
		"fingerprint": strings.Repeat("0", 64), "name": "Probe", "severity": "info", "source": "holdfast", "receivedTime": "2000-01-01T00:00:00Z",
	}
	probes = []probe{
		{"holdfast-approval", group.WithResource("aianalyses"), "AIAnalysis", map[string]any{
			"remediationRef": probeRef, "signal": probeSignal, "target": probeTarget,
		}},
		{"holdfast-impersonation", group.WithResource("remediationrequests"), "RemediationRequest", map[string]any{
			"signal": probeSignal, "target": probeTarget,
		}},
		{"holdfast-impersonation", group.WithResource("workflowexecutions"), "WorkflowExecution", map[string]any{
			"remediationRef": probeRef, "target": probeTarget, "workflowID": "probe",
			"steps": []any{map[string]any{"name": "probe", "action": "Wait"}},
		}},
	}
)

// waitEnforced repeats the dry run, in a namespace that every cluster has, until the policy refuses it.
func (p probe) waitEnforced(ctx context.Context, client dynamic.Interface) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(), "kind": p.kind, "spec": p.spec,
		"metadata": map[string]any{"generateName": "probe-", "annotations": map[string]any{probeAnnotation: ""}},
	}}
	return settle(ctx, "wait until the policy "+p.policy+" is enforced", func(ctx context.Context) error {
		_, err := client.Resource(p.resource).Namespace(metav1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{
			DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager,
		})
		if err == nil {
			return fmt.Errorf("a dry run to create a %s that it must refuse was accepted", p.kind)
		}
		if !strings.Contains(err.Error(), "'"+p.policy+"'") || !strings.Contains(err.Error(), probeAnnotation) {
			return fmt.Errorf("a dry run to create a %s failed for another reason: %w", p.kind, err)
		}
		return nil
	})
}
