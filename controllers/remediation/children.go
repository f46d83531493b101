package remediation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/outbox"
)

// errRefused says that the API server will never accept a child as it is.
var errRefused = errors.New("refused")

// slot is one child of a request: what the request's status says about it, and what has its name.
type slot struct {
	part string
	// blocked is the condition that says that the child can't be made now.
	blocked string
	// name and uid are fields of the request's status. The write that adopts the child sets the uid. A name without a uid was chosen because a foreign child
	// has the usual name.
	name *string
	uid  *types.UID
	// aside: the request neither waits for the child nor ends differently without it.
	aside bool
	// found is the resource that has the child's name, nil if there is none. It is the child only if adopted reports true.
	found outbox.Object
}

// slots are the children of a request.
type slots struct {
	analysisSlot, workflowSlot, notificationSlot *slot
	// The notifications that ask for a decision, and ask again.
	askingSlot, remindingSlot *slot
}

func slotsOf(rr *v1alpha1.RemediationRequest) slots {
	st := &rr.Status
	return slots{
		analysisSlot:     &slot{part: "analysis", blocked: v1alpha1.ConditionAnalysisBlocked, name: &st.Analysis, uid: &st.AnalysisUID},
		workflowSlot:     &slot{part: "workflow", blocked: v1alpha1.ConditionWorkflowBlocked, name: &st.Workflow, uid: &st.WorkflowUID},
		notificationSlot: &slot{part: "notification", blocked: v1alpha1.ConditionNotificationBlocked, name: &st.Notification, uid: &st.NotificationUID},
		askingSlot:       &slot{part: "approval", blocked: v1alpha1.ConditionApprovalNotificationBlocked, name: &st.ApprovalNotification, uid: &st.ApprovalNotificationUID, aside: true},
		remindingSlot:    &slot{part: "reminder", blocked: v1alpha1.ConditionApprovalNotificationBlocked, name: &st.ApprovalReminder, uid: &st.ApprovalReminderUID, aside: true},
	}
}

func (s *slots) all() []*slot {
	return append([]*slot{s.analysisSlot, s.workflowSlot, s.notificationSlot}, s.messages()...)
}

// messages are the slots of the notifications that ask for a decision.
func (s *slots) messages() []*slot { return []*slot{s.askingSlot, s.remindingSlot} }

// childName is the child's name, known before the child exists.
func (l *slot) childName(rr *v1alpha1.RemediationRequest) string {
	if *l.name != "" {
		return *l.name
	}
	return childName(rr, l.part, []byte(rr.UID))
}

// adopted reports whether the request has adopted the child, and the child still exists.
func (l *slot) adopted() bool { return l.found != nil && *l.uid != "" && l.found.GetUID() == *l.uid }

// unadopted reports whether something has the child's name although the request has adopted no child here.
func (l *slot) unadopted() bool { return l.found != nil && *l.uid == "" }

// childName derives a name from the request's name and a seed, which is usually its uid. So a request that is made again under its name does not find its
// predecessor's children.
func childName(rr *v1alpha1.RemediationRequest, part string, seed []byte) string {
	name := rr.Name
	if limit := 253 - len(part) - 10; len(name) > limit {
		name = strings.TrimRight(name[:limit], ".-") // a dot right before the next dash would make the name invalid
	}
	sum := sha256.Sum256(seed)
	return fmt.Sprintf("%s-%s-%s", name, hex.EncodeToString(sum[:4]), part)
}

// create makes the child of a slot, with the outbox finalizer and the request's trace context. If another resource has the name, the slot's found becomes that resource and
// created is false.
func (r *Reconciler) create(ctx context.Context, rr *v1alpha1.RemediationRequest, l *slot, child outbox.Object) (created bool, _ error) {
	name := l.childName(rr)
	child.SetNamespace(rr.Namespace)
	child.SetName(name)
	child.SetFinalizers([]string{outbox.Finalizer})
	child.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "holdfast"})
	annotations := map[string]string{}
	if tp, ok := rr.Annotations[outbox.TraceparentAnnotation]; ok {
		annotations[outbox.TraceparentAnnotation] = tp
	}
	child.SetAnnotations(annotations)
	if err := controllerutil.SetControllerReference(rr, child, r.client.Scheme()); err != nil {
		return false, fmt.Errorf("create %s: %w", name, err)
	}
	err := r.client.Create(ctx, child)
	switch {
	case apierrors.IsAlreadyExists(err):
		if err := r.live.Get(ctx, client.ObjectKey{Namespace: rr.Namespace, Name: name}, child); err != nil {
			return false, fmt.Errorf("find %s: %w", name, err)
		}
		l.found = child
		return false, nil
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return false, fmt.Errorf("%w: create %s: the namespace is terminating", errRefused, name)
	case err != nil && blockedBy(err) != "":
		return false, &blockedError{blockedBy(err), fmt.Errorf("create %s: %w", name, err)}
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		return false, fmt.Errorf("%w: create %s: %w", errRefused, name, err)
	case err != nil:
		return false, fmt.Errorf("create %s: %w", name, err)
	}
	l.found = child
	return true, nil
}

// cancelChildren cancels every child that has not ended, and every resource that claims to be a child. It counts those that the request waits for.
func (r *Reconciler) cancelChildren(ctx context.Context, s *scope) (open int, _ error) {
	for _, l := range s.all() {
		if !s.open(l) {
			continue
		}
		if !l.aside {
			open++
		}
		if err := r.cancelChild(ctx, s, l.found); err != nil {
			return open, err
		}
	}
	return open, nil
}

// open reports whether a slot has a child, or a resource that claims to be one, that has not ended.
func (s *scope) open(l *slot) bool { return (l.adopted() || s.claimed(l)) && !ended(l.found) }

func (r *Reconciler) cancelChild(ctx context.Context, s *scope, child outbox.Object) error {
	if cancelled(child) || child.GetDeletionTimestamp() != nil {
		return nil
	}
	if err := r.confirm(ctx, s); err != nil {
		return err
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := r.client.Patch(ctx, child, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cancel %s: %w", child.GetName(), err)
	}
	return nil
}

// confirm makes sure that what a reconcile knows of the request and of its analysis is what the API server has, before it stops a child. A cache follows each kind by
// itself, and may be behind: it may have the workflow that another manager, or an earlier process, made, and not yet the end of the analysis that it came of. The error is
// a conflict. That a request is deleted, cancelled or closed stays true, and needs no confirmation.
func (r *Reconciler) confirm(ctx context.Context, s *scope) error {
	if s.rr.DeletionTimestamp != nil || s.rr.Spec.Cancel || lifecycle.Closed(s.rr) || lifecycle.Released(s.rr) {
		return nil
	}
	known := []client.Object{s.rr}
	if a := s.analysis(); a != nil {
		known = append(known, a)
	}
	for _, o := range known {
		live := o.DeepCopyObject().(client.Object)
		switch err := r.live.Get(ctx, client.ObjectKeyFromObject(o), live); {
		case err != nil && !apierrors.IsNotFound(err):
			return fmt.Errorf("read %s before a child is cancelled: %w", o.GetName(), err)
		case err != nil || live.GetUID() != o.GetUID() || live.GetResourceVersion() != o.GetResourceVersion():
			return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group}, o.GetName(), errors.New("the cache is behind"))
		}
	}
	return nil
}

// claimed reports whether a resource that was not adopted has a child's name and names this request as its controller.
func (s *scope) claimed(l *slot) bool { return l.unadopted() && controlledBy(l.found, s.rr) }

// controlledBy reports whether a request is the controller of a resource. The uid alone is not enough. The admission policy checks only references that name a
// RemediationRequest, and only such a reference makes the resource's events start the request's reconciler.
func controlledBy(child outbox.Object, rr *v1alpha1.RemediationRequest) bool {
	owner := metav1.GetControllerOf(child)
	if owner == nil {
		return false
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == v1alpha1.GroupVersion.Group && owner.Kind == "RemediationRequest" && owner.Name == rr.Name && owner.UID == rr.UID
}

// lookAgain says when to check a child again: after next at the latest (0: never). The child's events start the request's reconciler only while the child names the
// request as its controller, so any other is polled.
func (s *scope) lookAgain(l *slot, next time.Duration) ctrl.Result {
	if l.found == nil || controlledBy(l.found, s.rr) || next > 0 && next < lifecycle.BlockedRetry {
		return ctrl.Result{RequeueAfter: next}
	}
	return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}
}

func cancelled(child outbox.Object) bool {
	switch c := child.(type) {
	case *v1alpha1.AIAnalysis:
		return c.Spec.Cancel
	case *v1alpha1.WorkflowExecution:
		return c.Spec.Cancel
	case *v1alpha1.NotificationRequest:
		return c.Spec.Cancel
	}
	return false
}

func refTo(rr *v1alpha1.RemediationRequest) v1alpha1.RemediationRef {
	return v1alpha1.RemediationRef{Name: rr.Name, UID: rr.UID}
}
