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

// slot is the place of one child: what the request's status says of it, and what is there.
type slot struct {
	part string
	// name and uid are fields of the request's status. The uid is set in the write that takes the child up; until then, a name is one that was chosen because
	// a stranger has the usual one.
	name *string
	uid  *types.UID
	// found is what has the child's name, nil if nothing has. It is the child only if taken says so.
	found outbox.Object
}

func slotsOf(rr *v1alpha1.RemediationRequest) (analysis, workflow, notification *slot) {
	st := &rr.Status
	return &slot{part: "analysis", name: &st.Analysis, uid: &st.AnalysisUID},
		&slot{part: "workflow", name: &st.Workflow, uid: &st.WorkflowUID},
		&slot{part: "notification", name: &st.Notification, uid: &st.NotificationUID}
}

// childName is the name that the child has, or will have.
func (l *slot) childName(rr *v1alpha1.RemediationRequest) string {
	if *l.name != "" {
		return *l.name
	}
	return childName(rr, l.part, []byte(rr.UID))
}

// taken reports whether the child was taken up, and is still there.
func (l *slot) taken() bool { return l.found != nil && *l.uid != "" && l.found.GetUID() == *l.uid }

// untaken reports whether the request has taken up no child here, but there is something under its name.
func (l *slot) untaken() bool { return l.found != nil && *l.uid == "" }

// childName follows from the request's name and uid: a request that is made again under its name does not find its predecessor's children.
func childName(rr *v1alpha1.RemediationRequest, part string, seed []byte) string {
	name := rr.Name
	if most := 253 - len(part) - 10; len(name) > most {
		name = strings.TrimRight(name[:most], ".-") // a dot before the next dash is no name
	}
	sum := sha256.Sum256(seed)
	return fmt.Sprintf("%s-%s-%s", name, hex.EncodeToString(sum[:4]), part)
}

// create makes the child of a slot. It carries the outbox finalizer from the beginning, and the request's trace context. If the name is taken, the slot has what was
// found there, and created is false.
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
		return false, fmt.Errorf("make %s: %w", name, err)
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
		return false, fmt.Errorf("%w: make %s: the namespace is terminating", errRefused, name)
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		return false, fmt.Errorf("%w: make %s: %w", errRefused, name, err)
	case err != nil:
		return false, fmt.Errorf("make %s: %w", name, err)
	}
	l.found = child
	return true, nil
}

// cancelChildren asks every child that is not closed to stop, and counts those. What claims to be a child is asked, too.
func (r *Reconciler) cancelChildren(ctx context.Context, s *scope) (open int, _ error) {
	for _, l := range s.slots() {
		if !l.taken() && !s.claimed(l) || ended(l.found) {
			continue
		}
		open++
		if err := r.cancelChild(ctx, l.found); err != nil {
			return open, err
		}
	}
	return open, nil
}

func (r *Reconciler) cancelChild(ctx context.Context, child outbox.Object) error {
	if cancelled(child) || child.GetDeletionTimestamp() != nil {
		return nil
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
	if err := r.client.Patch(ctx, child, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("cancel %s: %w", child.GetName(), err)
	}
	return nil
}

// claimed reports whether what has a child's name says that it is controlled by this request.
func (s *scope) claimed(l *slot) bool { return l.untaken() && controlledBy(l.found, s.rr) }

// controlledBy reports whether a request is the controller of a resource. The uid alone is not enough: the admission policy asks for a right only of whoever names a
// RemediationRequest, and only such a reference brings the resource's events to the request.
func controlledBy(child outbox.Object, rr *v1alpha1.RemediationRequest) bool {
	owner := metav1.GetControllerOf(child)
	if owner == nil {
		return false
	}
	gv, err := schema.ParseGroupVersion(owner.APIVersion)
	return err == nil && gv.Group == v1alpha1.GroupVersion.Group && owner.Kind == "RemediationRequest" && owner.Name == rr.Name && owner.UID == rr.UID
}

// lookAgain is when to look again at a child that is waited for, at the latest after next (0: never). Its events start the request's reconciler only while it names the request as its controller.
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
