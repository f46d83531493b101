package notification

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Reconciler delivers NotificationRequests.
type Reconciler struct {
	reconcile.Reconciler

	client   client.Client
	live     client.Reader
	recorder events.EventRecorder
	clock    clock.PassiveClock
	random   func() float64
	loopback bool
	channels map[v1alpha1.ChannelType]channel
	// attempts are those of this process that run, or whose outcomes were not saved.
	attempts *pool.Pool[outcome]
}

// Option changes a Reconciler's default.
type Option func(*Reconciler)

// withClock replaces the system's clock.
func withClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// withRandom replaces the source of the backoff's jitter: a function that returns numbers in [0,1).
func withRandom(random func() float64) Option { return func(r *Reconciler) { r.random = random } }

// WithoutLoopback refuses URLs on loopback addresses, where a manager in a cluster would meet only itself.
func WithoutLoopback() Option { return func(r *Reconciler) { r.loopback = false } }

// New returns a Reconciler. c reads own kinds, from a cache; live reads from the API server. The error is always nil: the constructors of the four controllers have one form.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, opts ...Option) (*Reconciler, error) {
	r := &Reconciler{client: c, live: live, recorder: recorder, clock: clock.RealClock{}, random: rand.Float64, loopback: true}
	for _, o := range opts {
		o(r)
	}
	poster := newPoster(live, r.clock, addressPolicy{loopback: r.loopback})
	r.channels = map[v1alpha1.ChannelType]channel{
		v1alpha1.ChannelConsole: &console{client: c, recorder: recorder},
		v1alpha1.ChannelSlack:   &slack{poster: poster},
		v1alpha1.ChannelWebhook: &webhook{poster: poster},
	}
	r.attempts = pool.New(pool.Config{Slots: slots, SlotsPerNamespace: slotsPerNamespace}, r.panicked)
	r.Reconciler = outbox.AsReconciler(w, outbox.Reconciler[*v1alpha1.NotificationRequest]{Reconcile: r.deliver, Closed: r.closed, Gone: r.gone})
	return r, nil
}

// SetupWithManager registers the controller.
//
// +kubebuilder:rbac:groups=holdfast.dev,resources=notificationrequests,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=holdfast.dev,resources=notificationrequests/status,verbs=get;update;patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch;update
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	ended, err := r.attempts.AddTo(mgr)
	if err != nil {
		return err
	}
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

// deliver records the attempts that have ended, then ends the record or begins the attempts that are due.
func (r *Reconciler) deliver(ctx context.Context, nr *v1alpha1.NotificationRequest, draft *outbox.Draft) (ctrl.Result, error) {
	s := scopeOf(nr, draft)
	why, err := lifecycle.ForeignRemediation(ctx, r.client, r.live, nr, nr.Spec.RemediationRef)
	switch {
	case err != nil:
		return ctrl.Result{}, err
	case why != "":
		return ctrl.Result{}, r.refuse(ctx, s, why)
	}
	return r.advance(ctx, s)
}

// closed drops the attempts of a request that can have no entries any more.
func (r *Reconciler) closed(ctx context.Context, nr *v1alpha1.NotificationRequest) (ctrl.Result, error) {
	return ctrl.Result{}, r.gone(ctx, client.ObjectKeyFromObject(nr))
}

// gone drops the attempts of a request that does not exist any more.
func (r *Reconciler) gone(_ context.Context, key client.ObjectKey) error {
	r.attempts.DropAll(key)
	return nil
}

func scopeOf(nr *v1alpha1.NotificationRequest, draft *outbox.Draft) *scope {
	s := &scope{nr: nr, draft: draft, policy: policyOf(nr.Spec.Retry)}
	switch {
	case nr.DeletionTimestamp != nil:
		s.stopping = "deleted"
	case nr.Spec.Cancel:
		s.stopping = "cancelled"
	}
	return s
}

// openPhases are the phases of a record that is open.
var openPhases = []v1alpha1.NotificationPhase{"", v1alpha1.NotificationPending, v1alpha1.NotificationSending, v1alpha1.NotificationRetrying}

func (r *Reconciler) advance(ctx context.Context, s *scope) (ctrl.Result, error) {
	if s.stopping == "" && !slices.Contains(openPhases, s.nr.Status.Phase) {
		return lifecycle.UnknownPhase(ctx, string(s.nr.Status.Phase))
	}
	if err := r.finish(ctx, s); err != nil || s.nr.Status.Phase.Final() {
		return ctrl.Result{}, err
	}
	if s.stopping != "" {
		return ctrl.Result{}, r.stop(ctx, s)
	}
	return r.begin(ctx, s)
}
