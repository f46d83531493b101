package config

import (
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// probeAnnotation, with a policy's name, makes that policy refuse a dry run: see config/admission.
const probeAnnotation = "holdfast.dev/policy-probe"

const finalizer = "holdfast.dev/outbox"

// probe is a dry run that shows whether a policy is enforced on a kind.
type probe struct {
	policy string
	kind
	// changed says what is missing if a policy that changes what it sees has not changed it. It is nil for a policy that refuses.
	changed func(made *unstructured.Unstructured) (missing string)
}

// kind is a kind of ours, with a spec that is valid.
type kind struct {
	resource schema.GroupVersionResource
	name     string
	spec     map[string]any
}

var (
	group       = schema.GroupVersion{Group: "holdfast.dev", Version: "v1alpha1"}
	probeRef    = map[string]any{"name": "probe", "uid": "probe"}
	probeTarget = map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "name": "probe"}
	probeSignal = map[string]any{
		"fingerprint": strings.Repeat("0", 64), "name": "Probe", "severity": "info", "source": "holdfast", "receivedTime": "2000-01-01T00:00:00Z",
	}
	request      = kind{group.WithResource("remediationrequests"), "RemediationRequest", map[string]any{"signal": probeSignal, "target": probeTarget}}
	analysis     = kind{group.WithResource("aianalyses"), "AIAnalysis", map[string]any{"remediationRef": probeRef, "signal": probeSignal, "target": probeTarget}}
	notification = kind{group.WithResource("notificationrequests"), "NotificationRequest", map[string]any{
		"remediationRef": probeRef, "subject": "probe", "channels": []any{map[string]any{"type": "console"}},
	}}
	workflow = kind{group.WithResource("workflowexecutions"), "WorkflowExecution", map[string]any{
		"remediationRef": probeRef, "target": probeTarget, "workflowID": "probe", "steps": []any{map[string]any{"name": "probe", "action": "Wait"}},
	}}
	probes = slices.Concat(
		on("holdfast-approval", analysis),
		changing("holdfast-finalizer", withFinalizer, request, analysis, notification, workflow),
		changing("holdfast-identity", withRequester, request),
		on("holdfast-identity", request),
		on("holdfast-impersonation", request, workflow),
		on("holdfast-metadata", request, analysis, notification, workflow),
		on("holdfast-orchestration", analysis, notification, workflow),
	)
)

func on(policy string, kinds ...kind) []probe { return changing(policy, nil, kinds...) }

func changing(policy string, changed func(*unstructured.Unstructured) string, kinds ...kind) []probe {
	probes := make([]probe, 0, len(kinds))
	for _, k := range kinds {
		probes = append(probes, probe{policy, k, changed})
	}
	return probes
}

func withFinalizer(made *unstructured.Unstructured) string {
	if slices.Contains(made.GetFinalizers(), finalizer) {
		return ""
	}
	return "finalizer " + finalizer
}

func withRequester(made *unstructured.Unstructured) string {
	if by, _, _ := unstructured.NestedString(made.Object, "spec", "requestedBy"); by != "" {
		return ""
	}
	return "spec.requestedBy"
}

// annotation names the policy to one that refuses. Other policies that refuse must let the dry run of one that changes pass, also those of its own name.
func (p probe) annotation() string {
	if p.changed != nil {
		return "none"
	}
	return p.policy
}

// Enforcement is what a dry run shows of a policy on a kind. Problem is nil if the policy is at work.
type Enforcement struct {
	Policy, Resource string
	Problem          error
}

// Enforced tries each policy on each of its kinds once. The caller needs the verb create on the kinds in the namespace default.
func Enforced(ctx context.Context, client dynamic.Interface) []Enforcement {
	all := make([]Enforcement, len(probes))
	for i, p := range probes {
		all[i] = Enforcement{p.policy, p.resource.Resource, p.try(ctx, client)}
	}
	return all
}

// waitEnforced repeats the dry run until it shows the policy at work.
func (p probe) waitEnforced(ctx context.Context, client dynamic.Interface) error {
	return poll(ctx, "wait until the policy "+p.policy+" is enforced", func(ctx context.Context) error { return p.try(ctx, client) })
}

// try does the dry run, in a namespace that every cluster has.
func (p probe) try(ctx context.Context, client dynamic.Interface) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": p.resource.GroupVersion().String(), "kind": p.name, "spec": p.spec,
		"metadata": map[string]any{"generateName": "probe-", "annotations": map[string]any{probeAnnotation: p.annotation()}},
	}}
	made, err := client.Resource(p.resource).Namespace(metav1.NamespaceDefault).Create(ctx, object, metav1.CreateOptions{
		DryRun: []string{metav1.DryRunAll}, FieldManager: FieldManager,
	})
	if p.changed != nil {
		return p.mutated(made, err)
	}
	return p.refused(err)
}

func (p probe) refused(err error) error {
	if err == nil {
		return fmt.Errorf("a dry run to create a %s that it must refuse was accepted", p.name)
	}
	if !strings.Contains(err.Error(), "'"+p.policy+"'") || !strings.Contains(err.Error(), probeAnnotation) {
		return fmt.Errorf("a dry run to create a %s failed for another reason: %w", p.name, err)
	}
	return nil
}

func (p probe) mutated(made *unstructured.Unstructured, err error) error {
	if err != nil {
		return fmt.Errorf("a dry run to create a %s failed: %w", p.name, err)
	}
	if missing := p.changed(made); missing != "" {
		return fmt.Errorf("a dry run to create a %s gave it no %s", p.name, missing)
	}
	return nil
}
