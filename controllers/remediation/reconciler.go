package remediation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Reconciler moves remediation requests through their phases.
type Reconciler struct {
	reconcile.Reconciler

	client    client.Client
	live      client.Reader
	writer    *outbox.Writer
	recorder  events.EventRecorder
	catalogue *catalogue.Catalogue
	clock     clock.PassiveClock
	coolDown  coolDown
}

// Option changes a default.
type Option func(*Reconciler)

// withClock replaces the system's clock.
func withClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// New returns a Reconciler. live reads from the API server, not from a cache.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, options ...Option) (*Reconciler, error) {
	workflows, err := catalogue.Default()
	if err != nil {
		return nil, fmt.Errorf("remediation controller: %w", err)
	}
	r := &Reconciler{client: c, live: live, writer: w, recorder: recorder, catalogue: workflows, clock: clock.RealClock{}}
	for _, o := range options {
		o(r)
	}
	r.Reconciler = outbox.AsReconciler(w, outbox.Reconciler[*v1alpha1.RemediationRequest]{Reconcile: r.advance, Closed: r.closed})
	return r, nil
}

// SetupWithManager watches requests and their children.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	if err := indexFingerprints(context.Background(), mgr); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("remediation").
		For(&v1alpha1.RemediationRequest{}).
		Owns(&v1alpha1.AIAnalysis{}).
		Owns(&v1alpha1.WorkflowExecution{}).
		Owns(&v1alpha1.NotificationRequest{}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			SkipNameValidation:      ptr.To(true),
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// advance moves one request forward.
func (r *Reconciler) advance(ctx context.Context, rr *v1alpha1.RemediationRequest, draft *outbox.Draft) (ctrl.Result, error) {
	s, err := r.newScope(ctx, rr, draft)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case rr.DeletionTimestamp != nil:
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, r.cancel(ctx, s, "The request was deleted while it ran")
	case rr.Spec.Cancel:
		return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, r.cancel(ctx, s, "The request was cancelled")
	}
	result, err := r.proceed(ctx, s)
	return result, errors.Join(err, r.dropMessages(ctx, s))
}

// closed looks after a request that can have no entries any more. One whose finalizer was stripped cancels its children all the same.
func (r *Reconciler) closed(ctx context.Context, rr *v1alpha1.RemediationRequest) (ctrl.Result, error) {
	s, err := r.newScope(ctx, rr, r.writer.Draft(rr))
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case lifecycle.Closed(rr):
		return r.clean(ctx, s)
	}
	open, err := r.cancelChildren(ctx, s)
	if open == 0 {
		return ctrl.Result{}, err
	}
	return ctrl.Result{RequeueAfter: lifecycle.BlockedRetry}, err
}

// proceed runs phases until one has to wait. Each phase saves what it changed.
func (r *Reconciler) proceed(ctx context.Context, s *scope) (ctrl.Result, error) {
	switch s.rr.Status.Phase {
	case "":
		return r.receive(ctx, s)
	case v1alpha1.RemediationPending:
		return r.startAnalysis(ctx, s)
	case v1alpha1.RemediationAnalyzing, v1alpha1.RemediationAwaitingApproval:
		return r.followAnalysis(ctx, s)
	case v1alpha1.RemediationExecuting:
		return r.followWorkflow(ctx, s)
	case v1alpha1.RemediationNotifying:
		return r.followNotification(ctx, s)
	default:
		return lifecycle.UnknownPhase(ctx, string(s.rr.Status.Phase))
	}
}
