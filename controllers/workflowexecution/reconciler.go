package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// DefaultSettle is how long post-conditions may take to become true, see WithSettle.
	DefaultSettle = time.Minute
	// errorBackoff and mostErrorBackoff pace the repetition of passes that met an API server that is away.
	errorBackoff     = 50 * time.Millisecond
	mostErrorBackoff = 15 * time.Second
)

// Reconciler runs workflows.
type Reconciler struct {
	client   client.Client
	live     client.Reader
	writer   *outbox.Writer
	recorder events.EventRecorder
	accounts *accounts
	clock    clock.PassiveClock
	settle   time.Duration
}

// Option changes a Reconciler's default.
type Option func(*Reconciler)

// WithRESTConfig says how to reach the API server; workflows act through it by impersonation. SetupWithManager takes the manager's when it is not given.
func WithRESTConfig(config *rest.Config) Option {
	return func(r *Reconciler) { r.accounts = newAccounts(config, r.client) }
}

// WithClock replaces the system's clock.
func WithClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// WithSettle bounds how long post-conditions may take to become true after the last step; DefaultSettle if not given. The last step's own timeout bounds it too.
func WithSettle(d time.Duration) Option { return func(r *Reconciler) { r.settle = d } }

// New makes a Reconciler. c may read from a cache, live reads from the API server.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, opts ...Option) *Reconciler {
	r := &Reconciler{client: c, live: live, writer: w, recorder: recorder, clock: clock.RealClock{}, settle: DefaultSettle}
	for _, o := range opts {
		o(r)
	}
	return r
}

// +kubebuilder:rbac:groups=holdfast.dev,resources=workflowexecutions,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=holdfast.dev,resources=workflowexecutions/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;impersonate
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller. maxConcurrent workflows are worked on at a time; one that waits takes no part of it.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	if r.accounts == nil {
		r.accounts = newAccounts(mgr.GetConfig(), r.client)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("workflowexecution").
		For(&v1alpha1.WorkflowExecution{}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorBackoff, mostErrorBackoff),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of WorkflowExecution: %w", err)
	}
	return nil
}

// Reconcile takes one workflow one step further.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if r.accounts == nil {
		return ctrl.Result{}, reconcile.TerminalError(errors.New("the reconciler has no REST config: call SetupWithManager, or give WithRESTConfig"))
	}
	wfe := &v1alpha1.WorkflowExecution{}
	if err := r.client.Get(ctx, req.NamespacedName, wfe); err != nil {
		if apierrors.IsNotFound(err) {
			r.writer.Forget(wfe, req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, fmt.Errorf("read the workflow: %w", err)
	}
	if r.writer.Stale(wfe) {
		return ctrl.Result{RequeueAfter: outbox.StaleFor}, nil
	}
	if closed(wfe) || released(wfe) {
		return ctrl.Result{}, nil
	}
	s := &scope{wfe: wfe, status: &wfe.Status, draft: r.writer.Draft(wfe), now: r.clock.Now()}
	why, err := lifecycle.ForeignRemediation(ctx, r.client, r.live, wfe, wfe.Spec.RemediationRef)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case why != "":
		lifecycle.RefuseRemediation(wfe, why)
		return lifecycle.Result(r.endWith(ctx, s, v1alpha1.WorkflowFailed, lifecycle.EventRefused, why))
	}
	return lifecycle.Result(r.phase(ctx, s))
}

// phase is the table of phases. Each has a file of its own.
func (r *Reconciler) phase(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.stopReason() != "" && s.status.Phase != v1alpha1.WorkflowRollingBack {
		return r.cancel(ctx, s)
	}
	switch s.status.Phase {
	case "":
		return r.accept(ctx, s)
	case v1alpha1.WorkflowPending:
		return r.beginValidation(ctx, s)
	case v1alpha1.WorkflowValidating:
		return r.validate(ctx, s)
	case v1alpha1.WorkflowExecuting:
		return r.execute(ctx, s)
	case v1alpha1.WorkflowVerifying:
		return r.verify(ctx, s)
	case v1alpha1.WorkflowRollingBack:
		return r.rollBack(ctx, s)
	}
	return ctrl.Result{}, nil // a phase of a newer release: leave it to that
}

func closed(wfe *v1alpha1.WorkflowExecution) bool {
	return wfe.Status.Outbox != nil && wfe.Status.Outbox.Closed
}

// released tells whether the workflow is on its way out without our finalizer.
func released(wfe *v1alpha1.WorkflowExecution) bool {
	return wfe.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(wfe, outbox.Finalizer)
}
