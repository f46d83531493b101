package aianalysis

import (
	"context"
	"fmt"
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
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Investigator finds out what is wrong with a target and what to do. It only reads, stops when its context ends, and must be safe for concurrent use.
type Investigator interface {
	// Name as resources and audit records have it, at most 100 bytes.
	Name() string
	// Investigate answers, or fails; then it is asked again. An investigator that needs more than 15 s has a method Timeout() time.Duration, too. One that has a version or
	// a prompt has a method Config() investigator.Config.
	Investigate(ctx context.Context, q investigator.Request) (investigator.Finding, error)
}

// Reconciler is the AIAnalysis controller.
type Reconciler struct {
	reconcile.Reconciler

	client   client.Client
	live     client.Reader
	recorder events.EventRecorder

	investigator Investigator
	catalogue    *catalogue.Catalogue
	clock        clock.PassiveClock
	settings     settings
	// attempts are those of this process that run, or whose answers were not saved.
	attempts *pool.Pool[answer]
}

// settings are the numbers that options change.
type settings struct {
	slots          int
	attempts       int32
	attemptTimeout time.Duration
	backoff        time.Duration
}

// slotsPerNamespace is how many investigations of one namespace run at once: half of the slots. Long investigations of one leave the other half to the others.
func (s settings) slotsPerNamespace() int { return max(1, s.slots/2) }

// Option changes a default.
type Option func(*Reconciler)

// WithInvestigator replaces the built-in rules.
func WithInvestigator(i Investigator) Option { return func(r *Reconciler) { r.investigator = i } }

// withClock replaces the system's clock.
func withClock(c clock.PassiveClock) Option { return func(r *Reconciler) { r.clock = c } }

// withSlots sets how many investigations run at once; 8 by default.
func withSlots(n int) Option { return func(r *Reconciler) { r.settings.slots = n } }

// withAttempts bounds how often the investigator is asked, and sets the pause after the first failure, which doubles with each; 4 and 2 s by default.
func withAttempts(n int32, backoff time.Duration) Option {
	return func(r *Reconciler) { r.settings.attempts, r.settings.backoff = n, backoff }
}

// withAttemptTimeout bounds one attempt; 15 s by default, or what the investigator's method Timeout says. It is also how long the attempt of a manager
// that died keeps another one from asking again.
func withAttemptTimeout(d time.Duration) Option {
	return func(r *Reconciler) { r.settings.attemptTimeout = d }
}

// New returns the controller. c reads from the cache, live from the API server. It fails if the embedded catalogue is wrong, which a test rules out.
func New(c client.Client, live client.Reader, w *outbox.Writer, recorder events.EventRecorder, opts ...Option) (*Reconciler, error) {
	workflows, err := catalogue.Default()
	if err != nil {
		return nil, fmt.Errorf("aianalysis controller: %w", err)
	}
	r := &Reconciler{
		client: c, live: live, recorder: recorder,
		catalogue: workflows,
		clock:     clock.RealClock{},
		settings:  settings{slots: 8, attempts: 4, backoff: 2 * time.Second},
	}
	for _, o := range opts {
		o(r)
	}
	if r.investigator == nil {
		r.investigator = rules.New(live, rules.WithClock(r.clock))
	}
	if limited, ok := r.investigator.(interface{ Timeout() time.Duration }); ok && r.settings.attemptTimeout == 0 {
		r.settings.attemptTimeout = limited.Timeout()
	} else if r.settings.attemptTimeout == 0 {
		r.settings.attemptTimeout = 15 * time.Second
	}
	r.attempts = pool.New(pool.Config{Slots: r.settings.slots, SlotsPerNamespace: r.settings.slotsPerNamespace()}, func(err error) answer { return answer{err: err} })
	r.Reconciler = outbox.AsReconciler(w, outbox.Reconciler[*v1alpha1.AIAnalysis]{Reconcile: r.advance, Closed: r.closed, Gone: r.gone})
	return r, nil
}

// +kubebuilder:rbac:groups=holdfast.dev,resources=aianalyses,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=holdfast.dev,resources=aianalyses/status,verbs=get;update
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingadmissionpolicies;validatingadmissionpolicybindings,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupWithManager adds the controller to the manager, with this many workers. Workers only read and write resources; investigations run in slots of their own.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager, maxConcurrent int) error {
	ended, err := r.attempts.AddTo(mgr)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("aianalysis").
		For(&v1alpha1.AIAnalysis{}).
		WatchesRawSource(ended).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: maxConcurrent,
			// The default grows to a quarter of an hour.
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 30*time.Second),
		}).
		Complete(r)
}

// scope is what one reconcile works with.
type scope struct {
	analysis *v1alpha1.AIAnalysis
	draft    *outbox.Draft
	key      client.ObjectKey
	// now is the one time of this reconcile.
	now time.Time
}

// advance moves an analysis one step forward.
func (r *Reconciler) advance(ctx context.Context, a *v1alpha1.AIAnalysis, draft *outbox.Draft) (ctrl.Result, error) {
	s := &scope{analysis: a, draft: draft, key: client.ObjectKeyFromObject(a), now: r.clock.Now()}
	if why, err := lifecycle.ForeignRemediation(ctx, r.client, r.live, a, a.Spec.RemediationRef); err != nil || why != "" {
		return r.refuse(ctx, s, why, err)
	}
	return r.phase(ctx, s)
}

// closed drops the attempts of an analysis that can have no entries any more.
func (r *Reconciler) closed(ctx context.Context, a *v1alpha1.AIAnalysis) (ctrl.Result, error) {
	return ctrl.Result{}, r.gone(ctx, client.ObjectKeyFromObject(a))
}

// gone drops the attempts of an analysis that does not exist any more.
func (r *Reconciler) gone(_ context.Context, key client.ObjectKey) error {
	r.attempts.DropAll(key)
	return nil
}

// openPhases are the phases of a record that is open.
var openPhases = []v1alpha1.AnalysisPhase{"", v1alpha1.AnalysisPending, v1alpha1.AnalysisInvestigating, v1alpha1.AnalysisAwaitingApproval}

// phase continues where the analysis is. The facts in the status decide that; the phase only summarizes them.
func (r *Reconciler) phase(ctx context.Context, s *scope) (ctrl.Result, error) {
	switch a := s.analysis; {
	case a.DeletionTimestamp != nil || a.Spec.Cancel:
		return r.cancel(ctx, s)
	case !slices.Contains(openPhases, a.Status.Phase):
		return lifecycle.UnknownPhase(ctx, string(a.Status.Phase))
	case a.Status.Investigation == nil:
		return r.begin(ctx, s)
	case a.Status.Approval == nil:
		return r.investigate(ctx, s)
	default:
		return r.awaitDecision(ctx, s)
	}
}
