package notification

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Reconciler delivers NotificationRequests.
type Reconciler struct {
	client   client.Client
	live     client.Reader
	writer   *outbox.Writer
	recorder events.EventRecorder
	clock    clock.PassiveClock
	random   func() float64
	loopback bool
	channels map[v1alpha1.ChannelType]channel
	courier  *courier
}

// Option changes a Reconciler's default.
type Option func(*Reconciler)

// WithClock replaces the system's clock.
func WithClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// WithRandom replaces the source of the backoff's jitter: a function that returns numbers in [0,1).
func WithRandom(random func() float64) Option { return func(r *Reconciler) { r.random = random } }

// WithoutLoopback refuses URLs on loopback addresses, where a manager in a cluster would meet only itself.
func WithoutLoopback() Option { return func(r *Reconciler) { r.loopback = false } }

// New makes a Reconciler. c reads own kinds, from a cache; live reads from the API server.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, opts ...Option) *Reconciler {
	r := &Reconciler{client: c, live: live, writer: w, recorder: recorder, clock: clock.RealClock{}, random: rand.Float64, loopback: true}
	for _, o := range opts {
		o(r)
	}
	poster := newPoster(live, r.clock, addressPolicy{loopback: r.loopback})
	r.channels = map[v1alpha1.ChannelType]channel{
		v1alpha1.ChannelConsole: &console{client: c, recorder: recorder},
		v1alpha1.ChannelSlack:   &slack{poster: poster},
		v1alpha1.ChannelWebhook: &webhook{poster: poster},
	}
	r.courier = newCourier(r.clock)
	return r
}

// SetupWithManager registers the controller.
//
// +kubebuilder:rbac:groups=holdfast.dev,resources=notificationrequests,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=holdfast.dev,resources=notificationrequests/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch;update
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	ended := source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		r.courier.attach(ctx, queue)
		return nil
	})
	return ctrl.NewControllerManagedBy(mgr).
		For(&v1alpha1.NotificationRequest{}).
		WatchesRawSource(ended).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 15*time.Second),
		}).
		Complete(r)
}

// scope is what one reconcile knows.
type scope struct {
	nr     *v1alpha1.NotificationRequest
	draft  *outbox.Draft
	policy policy
	// stopping is why no further attempt may begin: "cancelled" or "deleted"; empty while the work goes on.
	stopping string
}

// Reconcile writes down what has ended, then ends the record or begins what is due.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	nr := &v1alpha1.NotificationRequest{}
	if err := r.client.Get(ctx, req.NamespacedName, nr); apierrors.IsNotFound(err) {
		r.writer.Forget(nr, req.NamespacedName)
		r.courier.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	} else if err != nil {
		return ctrl.Result{}, fmt.Errorf("read the notification: %w", err)
	}
	if r.writer.Stale(nr) {
		return ctrl.Result{RequeueAfter: outbox.StaleFor}, nil
	}
	if o := nr.GetOutbox(); o != nil && o.Closed || released(nr) {
		r.courier.forget(req.NamespacedName)
		return ctrl.Result{}, nil
	}
	s := r.scope(nr)
	why, err := lifecycle.ForeignRemediation(ctx, r.client, r.live, nr, nr.Spec.RemediationRef)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case why != "":
		return lifecycle.Result(ctrl.Result{}, r.refuse(ctx, s, why))
	}
	return lifecycle.Result(r.advance(ctx, s))
}

func (r *Reconciler) scope(nr *v1alpha1.NotificationRequest) *scope {
	s := &scope{nr: nr, draft: r.writer.Draft(nr), policy: policyOf(nr.Spec.Retry)}
	switch {
	case nr.DeletionTimestamp != nil:
		s.stopping = "deleted"
	case nr.Spec.Cancel:
		s.stopping = "cancelled"
	}
	return s
}

func (r *Reconciler) advance(ctx context.Context, s *scope) (ctrl.Result, error) {
	if err := r.settle(ctx, s); err != nil || s.nr.Status.Phase.Final() {
		return ctrl.Result{}, err
	}
	if s.stopping != "" {
		return ctrl.Result{}, r.stop(ctx, s)
	}
	return r.begin(ctx, s)
}

// released tells whether the resource is on its way out without us: it gets no entries, and nothing is sent.
func released(nr *v1alpha1.NotificationRequest) bool {
	return nr.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(nr, outbox.Finalizer)
}
