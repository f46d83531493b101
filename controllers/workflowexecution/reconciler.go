package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// defaultVerifyWindow is how long post-conditions may take to become true, see withVerifyWindow.
	defaultVerifyWindow = time.Minute
	// errorBackoff and maxErrorBackoff bound the pause between passes that fail, as when the API server is away.
	errorBackoff    = 50 * time.Millisecond
	maxErrorBackoff = 15 * time.Second
)

// Reconciler runs workflows.
type Reconciler struct {
	reconcile.Reconciler

	client   client.Client
	live     client.Reader
	recorder events.EventRecorder
	accounts *accounts
	clock    clock.PassiveClock
	// catalogue knows the version of a workflow.
	catalogue *catalogue.Catalogue
	// verifyWindow bounds how long post-conditions may take to become true.
	verifyWindow time.Duration
}

// Option changes a Reconciler's default.
type Option func(*Reconciler)

// WithRESTConfig says how to reach the API server, where workflows act by impersonation. SetupWithManager uses the manager's if none is given.
func WithRESTConfig(config *rest.Config) Option {
	return func(r *Reconciler) { r.accounts = newAccounts(config, r.client) }
}

// withClock replaces the system's clock.
func withClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// withVerifyWindow bounds how long post-conditions may take to become true after the last step; a minute by default. The last step's own timeout bounds it too.
func withVerifyWindow(d time.Duration) Option { return func(r *Reconciler) { r.verifyWindow = d } }

// New makes a Reconciler. c may read from a cache, live reads from the API server. It fails if the embedded catalogue is wrong, which a test rules out.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, opts ...Option) (*Reconciler, error) {
	workflows, err := catalogue.Default()
	if err != nil {
		return nil, fmt.Errorf("workflowexecution controller: %w", err)
	}
	r := &Reconciler{client: c, live: live, recorder: recorder, clock: clock.RealClock{}, verifyWindow: defaultVerifyWindow, catalogue: workflows}
	for _, o := range opts {
		o(r)
	}
	r.Reconciler = outbox.AsReconciler(w, outbox.Reconciler[*v1alpha1.WorkflowExecution]{Reconcile: r.advance})
	return r, nil
}

// +kubebuilder:rbac:groups=holdfast.dev,resources=workflowexecutions,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=holdfast.dev,resources=workflowexecutions/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=serviceaccounts,verbs=get;impersonate
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager registers the controller, with maxConcurrent workers. A workflow that waits occupies none.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	if r.accounts == nil {
		r.accounts = newAccounts(mgr.GetConfig(), r.client)
	}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("workflowexecution").
		For(&v1alpha1.WorkflowExecution{}).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](errorBackoff, maxErrorBackoff),
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of WorkflowExecution: %w", err)
	}
	return nil
}

// advance moves one workflow one step forward.
func (r *Reconciler) advance(ctx context.Context, wfe *v1alpha1.WorkflowExecution, draft *outbox.Draft) (ctrl.Result, error) {
	if r.accounts == nil {
		return ctrl.Result{}, reconcile.TerminalError(errors.New("the reconciler has no REST config: call SetupWithManager, or give WithRESTConfig"))
	}
	s := &scope{wfe: wfe, status: &wfe.Status, draft: draft, now: r.clock.Now()}
	s.dropStrangeSteps()
	why, err := lifecycle.ForeignRemediation(ctx, r.client, r.live, wfe, wfe.Spec.RemediationRef)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case why != "":
		lifecycle.RefuseRemediation(wfe, why)
		return r.endWith(ctx, s, v1alpha1.WorkflowFailed, lifecycle.EventRefused, why)
	}
	return r.phase(ctx, s)
}

// phase runs the phase that the status names. Each phase has a file of its own.
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
	return lifecycle.UnknownPhase(ctx, string(s.status.Phase))
}
