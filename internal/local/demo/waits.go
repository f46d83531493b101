//go:build unix

package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// finalizer holds a resource until its entries are durable. It is written out here: the demo shares no code with what it watches.
const finalizer = "holdfast.dev/outbox"

// How long a phase may take until the demo gives up, and how long a deletion is watched while the database is away.
const (
	phaseTimeout = 90 * time.Second
	heldFor      = 3 * time.Second
)

func text(o *unstructured.Unstructured, path ...string) string {
	if o == nil {
		return ""
	}
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

func number(o *unstructured.Unstructured, path ...string) int64 {
	n, _, _ := unstructured.NestedInt64(o.Object, path...)
	return n
}

func (d *demo) request(name string) *unstructured.Unstructured {
	return d.feed.get("RemediationRequest", namespace, name)
}

// awaitPhase waits until a request is in a phase, or was there when it went. A request that has ended in another one is an error.
func (d *demo) awaitPhase(ctx context.Context, name, phase string) error {
	return d.feed.await(ctx, fmt.Sprintf("request %s is %s", name, phase), func() (bool, string, error) {
		o := d.request(name)
		now := text(o, "status", "phase")
		if now != phase && v1alpha1.RemediationPhase(now).Final() {
			return false, "", fmt.Errorf("it ended in phase %s instead: %s", now, text(o, "status", "failureReason"))
		}
		return now == phase, fmt.Sprintf("%q", now), nil
	})
}

func (d *demo) awaitEnd(ctx context.Context, w workload) error {
	name := d.names[w.name]
	if err := d.awaitPhase(ctx, name, w.ends); err != nil {
		return err
	}
	if outcome := text(d.request(name), "status", "outcome"); outcome != w.outcome {
		return fmt.Errorf("request %s ended with the outcome %q, expected %q", name, outcome, w.outcome)
	}
	return nil
}

// awaitFirstStep waits until the first step of a request's workflow is done.
func (d *demo) awaitFirstStep(ctx context.Context, name string) error {
	return d.feed.await(ctx, "the workflow of "+name+" has completed its first step", func() (bool, string, error) {
		workflow := d.feed.get("WorkflowExecution", namespace, text(d.request(d.names[name]), "status", "workflow"))
		if workflow == nil {
			return false, "not there", nil
		}
		steps, _, _ := unstructured.NestedSlice(workflow.Object, "status", "steps")
		if v1alpha1.WorkflowPhase(text(workflow, "status", "phase")).Final() {
			return false, "", fmt.Errorf("it has already ended")
		}
		return len(steps) > 1, fmt.Sprintf("%s with %d steps begun", text(workflow, "status", "phase"), len(steps)), nil
	})
}

// patchDecision sets spec.decision of the analysis of a workload's request, as the user.
func (d *demo) patchDecision(ctx context.Context, name, user string, decision v1alpha1.Decision) error {
	as, err := newClient(d.stack.Cluster.RESTConfig(), user)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"decision": decision}})
	if err != nil {
		return err
	}
	analysis := &v1alpha1.AIAnalysis{ObjectMeta: inShop(text(d.request(d.names[name]), "status", "analysis"))}
	return as.Patch(ctx, analysis, client.RawPatch(types.MergePatchType, patch))
}

func refusedByPolicy(err error) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'holdfast-approval'")
}

// check reports whether the Deployment is what the outcome says.
func (w workload) check(d *appsv1.Deployment) error {
	container := d.Spec.Template.Spec.Containers[0]
	if want := w.image(w.tag); container.Image != want {
		return fmt.Errorf("Deployment %s has image %s at the end, expected %s", w.name, container.Image, want) //nolint:staticcheck // Deployment is a name
	}
	if limit := container.Resources.Limits[corev1.ResourceMemory]; w.memory != "" && limit.String() != w.memory {
		return fmt.Errorf("Deployment %s has memory limit %s at the end, expected %s", w.name, limit.String(), w.memory) //nolint:staticcheck // Deployment is a name
	}
	// Two rollouts and one undo: a repair that was repeated after the manager's death would show here.
	if revision := d.Annotations["deployment.kubernetes.io/revision"]; w.badTag != "" && revision != "3" {
		return fmt.Errorf("Deployment %s is at revision %s, expected 3: the release, the bad release, and one undo", w.name, revision) //nolint:staticcheck // Deployment is a name
	}
	return nil
}

// watchItStay watches a request that is being deleted for a while, during which it must stay.
func (d *demo) watchItStay(ctx context.Context, name string) error {
	o := d.request(name)
	if o == nil {
		return errHeld
	}
	if !slices.Contains(o.GetFinalizers(), finalizer) || o.GetDeletionTimestamp() == nil {
		return fmt.Errorf("request %s: expected a deletion time and the finalizer %s, found %v and %v", name, finalizer, o.GetDeletionTimestamp(), o.GetFinalizers())
	}
	d.step("search", "deletion waits", yellow, fmt.Sprintf("for finalizer %s: %d entries are not durable yet", finalizer, number(o, "status", "outbox", "pending")))
	timer := time.NewTimer(heldFor)
	defer timer.Stop()
	for {
		d.feed.mu.Lock()
		changed := d.feed.changed
		d.feed.mu.Unlock()
		if d.request(name) == nil {
			return errHeld
		}
		select {
		case <-changed:
		case <-timer.C:
			d.step("search", "still there", yellow, fmt.Sprintf("%s later", heldFor))
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *demo) awaitGone(ctx context.Context, name string) error {
	return d.feed.await(ctx, "request "+name+" is gone", func() (bool, string, error) {
		o := d.request(name)
		return o == nil, "there, in phase " + text(o, "status", "phase"), nil
	})
}

// awaitNothingLeft waits until the garbage collector has taken the children along.
func (d *demo) awaitNothingLeft(ctx context.Context) error {
	err := d.feed.await(ctx, "no resource is left", func() (bool, string, error) {
		var left []string
		for _, o := range d.feed.all() {
			left = append(left, o.GetKind()+" "+o.GetName())
		}
		return len(left) == 0, "there are " + strings.Join(left, ", "), nil
	})
	if err != nil {
		return err
	}
	d.say("no request, analysis, workflow or notification remains in the cluster")
	return nil
}
