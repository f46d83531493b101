package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// ErrReleased means that the resource is in deletion without the finalizer. It gets no entries, and its controller should do nothing more.
var ErrReleased = errors.New("resource is being deleted without the outbox finalizer")

// ErrSpent means that a Draft was used after one of its calls had failed. Its object may differ from what was written, so the Draft writes nothing more. Read the
// resource again and create a new Draft.
var ErrSpent = errors.New("the draft is unusable after an earlier error; read the resource again and create a new draft")

// rebases bounds how often one Save follows a resource that others keep touching.
const rebases = 10

// Writer saves the status of resources with their entries. One serves all controllers of a process. Those of the same kind must share one: it remembers their writes for Stale.
type Writer struct {
	client   client.Client
	live     client.Reader
	relay    Relay
	limits   Limits
	clock    clock.PassiveClock
	recorder events.EventRecorder

	mu      sync.Mutex
	written map[client.ObjectKey]version // by kind too, see keyOf
	// swept is when the memory was last cleared of versions that Stale does not look at any more.
	swept time.Time
}

// version is the newest write of ours to a resource.
type version struct {
	uid             types.UID
	resourceVersion string
	at              time.Time
}

// staleFor bounds how long Stale waits for a cache to reach our own write. After a restored etcd it never does, and no event says so.
const staleFor = 30 * time.Second

// Option changes a Writer's default.
type Option func(*Writer)

// WithClock replaces the system's clock.
func WithClock(c clock.PassiveClock) Option { return func(w *Writer) { w.clock = c } }

// NewWriter returns a Writer. c may read from a cache; live reads from the API server (a manager's GetAPIReader). The Writer uses the limits of the relay. If the relay runs in another
// process, pass nil: the limits are then DefaultLimits, and that relay trims durable entries. An entry of a kind that was not given to relay.Add or relay.New is refused: nobody would drain it.
//
// It panics if a custom Relay has invalid limits (relay.Add returns an error for them instead), or if a kind in the scheme of c has an outbox that is not at status.outbox.
func NewWriter(c client.Client, live client.Reader, relay Relay, options ...Option) *Writer {
	w := &Writer{client: c, live: live, relay: relay, limits: DefaultLimits(), clock: clock.RealClock{}, written: map[client.ObjectKey]version{}}
	if relay != nil {
		w.limits = relay.Limits()
	}
	if err := w.limits.Validate(); err != nil {
		panic(fmt.Sprintf("outbox.NewWriter: %v", err))
	}
	if err := checkKinds(c.Scheme()); err != nil {
		panic(fmt.Sprintf("outbox.NewWriter: %v", err))
	}
	for _, o := range options {
		o(w)
	}
	w.swept = w.clock.Now()
	return w
}

// checkKinds finds a kind that cannot be audited before anything of it is saved.
func checkKinds(scheme *runtime.Scheme) error {
	for _, t := range scheme.AllKnownTypes() {
		if !reflect.PointerTo(t).Implements(reflect.TypeFor[Object]()) {
			continue
		}
		if err := kindcheck.Check(reflect.New(t).Interface().(Object)); err != nil {
			return err
		}
	}
	return nil
}

// watermark is how far the store has a resource's entries, as far as this process knows.
func (w *Writer) watermark(uid types.UID) entry.Watermark {
	if w.relay == nil {
		return entry.Watermark{}
	}
	return w.relay.Watermark(uid)
}

// Stale returns how long to wait before obj, read from a cache, may be reconciled; zero means now. It is positive while obj is older than this Writer's own last write to it. In that case, return
// with this RequeueAfter. Usually an event comes earlier; after a restore of etcd there is none.
func (w *Writer) Stale(obj Object) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.written[keyOf(obj)]
	if !ok || last.uid != obj.GetUID() || !apiserver.Older(obj.GetResourceVersion(), last.resourceVersion) {
		return 0
	}
	return max(0, staleFor-w.clock.Since(last.at))
}

func (w *Writer) remember(obj Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.clock.Now()
	if now.Sub(w.swept) > staleFor {
		maps.DeleteFunc(w.written, func(_ client.ObjectKey, v version) bool { return now.Sub(v.at) > staleFor })
		w.swept = now
	}
	w.written[keyOf(obj)] = version{uid: obj.GetUID(), resourceVersion: obj.GetResourceVersion(), at: now}
}

func keyOf(obj Object) client.ObjectKey {
	return client.ObjectKey{Namespace: reflect.TypeOf(obj).Elem().String() + "|" + obj.GetNamespace(), Name: obj.GetName()}
}

// Draft is the working copy of a resource for one reconcile. The caller changes obj, and Save writes the changes.
type Draft struct {
	writer *Writer
	obj    Object
	base   Object
	kind   string
	// undrained is why no entry may be added: the Writer's relay does not drain the kind.
	undrained error
	// client makes the writes beside that of the status, as the field manager of that.
	client client.Client
	// write writes the status of an object, and makes the object what the API server answers.
	write statusWrite
	// exact means that what is written was worked out from the version of base. After a conflict the caller has to work it out again.
	exact bool
	// failed is the error that spent the draft: nothing may be saved from what the object says now.
	failed error
}

// Draft returns a draft of obj as it was read. The caller owns obj (a client's Get returns a copy) and may change its status, but not its outbox.
func (w *Writer) Draft(obj Object) *Draft {
	return w.draft(obj, obj.DeepCopyObject().(Object))
}

func (w *Writer) draft(obj, base Object) *Draft {
	kind := reflect.TypeOf(obj).Elem().Name()
	var undrained error
	if gvk, err := apiutil.GVKForObject(obj, w.client.Scheme()); err == nil {
		kind, undrained = gvk.Kind, w.drained(gvk)
	}
	return &Draft{writer: w, obj: obj, base: base, kind: kind, undrained: undrained, client: w.client, write: updateStatus(w.client)}
}

// Base returns a copy of the resource as it was read, or after the last Save.
func (d *Draft) Base() Object { return d.base.DeepCopyObject().(Object) }

// Save writes the status, and with it an entry if a change is given, in one PUT. Without a change it writes only if the status differs from what was
// read. On success obj is what the API server has now, and the draft can be used again. After an error the draft is spent, and every further call returns ErrSpent.
//
// Errors: a conflict (see the package's rebase rule), ErrReleased, ErrOversized, ErrSpent, those of Append, those of the API server.
func (d *Draft) Save(ctx context.Context, change *Change) error {
	if d.failed != nil {
		return d.spent("save")
	}
	d.failed = d.save(ctx, change)
	return d.failed
}

// spent is the error of a call after one that failed. It wraps the first error, too.
func (d *Draft) spent(what string) error {
	return fmt.Errorf("%s %s: %w: %w", what, entry.SourceOf(d.obj), ErrSpent, d.failed)
}

func (d *Draft) save(ctx context.Context, change *Change) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	switch {
	case change == nil:
		same, err := sameBut(d.base, d.obj)
		if err != nil || same {
			return err
		}
	case released(d.base):
		return fmt.Errorf("%w: %s", ErrReleased, entry.SourceOf(d.obj))
	case d.undrained != nil:
		return fmt.Errorf("save %s: %w", entry.SourceOf(d.obj), d.undrained)
	}
	if err := d.auditable(ctx); err != nil {
		return err
	}
	head := headOf(d.base)
	o := outboxapi.Get(d.base).DeepCopy() // what was read: the outbox of obj is nobody's to change
	if o != nil {
		entry.Acknowledge(d.obj.GetUID(), o, d.writer.watermark(d.obj.GetUID()))
	}
	outboxapi.Set(d.obj, o)
	if change != nil {
		if err := d.append(ctx, *change); err != nil {
			return d.explainFull(ctx, err)
		}
		// Only now: a change that cannot be appended, or is not kept, must not leave a finalizer behind that nobody releases.
		if err := d.ensureKept(ctx); err != nil {
			return err
		}
		if err := d.ensureFinalizer(ctx); err != nil {
			return err
		}
	}
	if err := d.put(ctx, head, change != nil); err != nil {
		return d.explainTooLarge(ctx, err)
	}
	if change != nil {
		appended.WithLabelValues(d.kind).Inc()
		full.WithLabelValues(d.kind) // so that increase() has a first value
	}
	return nil
}

func newSalt() (s entry.Salt) {
	_, _ = rand.Read(s[:]) // never fails (package crypto/rand)
	return s
}

func (d *Draft) append(ctx context.Context, change Change) error {
	if tp := d.obj.GetAnnotations()[TraceparentAnnotation]; change.Traceparent == "" && entry.ValidTraceparent(tp) {
		change.Traceparent = tp
	}
	if change.Record == nil {
		content, err := d.content()
		if err != nil {
			return err
		}
		change.Record = content
	}
	next, repaired, err := entry.Append(outboxapi.Get(d.obj), entry.SourceOf(d.base), change, d.writer.clock.Now(), newSalt(), d.writer.limits)
	if err != nil {
		if errors.Is(err, ErrFull) {
			full.WithLabelValues(d.kind).Inc()
		}
		return err
	}
	if repaired > 0 {
		logf.FromContext(ctx).Info("Replaced characters that cannot be stored with U+FFFD", "event", change.Event, "sequence", next.LastSequence, "places", repaired)
	}
	outboxapi.Set(d.obj, next)
	setBlocked(d.obj, metav1.ConditionFalse, "RoomLeft", "")
	return nil
}

// content is the resource as the write leaves it: of obj, only the status is written.
func (d *Draft) content() (map[string]any, error) {
	content, err := bare(d.base)
	if err != nil {
		return nil, err
	}
	after, err := bare(d.obj)
	if err != nil {
		return nil, err
	}
	delete(content, "status")
	if status, ok := after["status"]; ok {
		content["status"] = status
	}
	return content, nil
}

// Ending reports whether o is being deleted and no finalizer but the outbox's is left: whoever else had to clean up is done. A change of that state can end the record (Change.Final).
func Ending(o Object) bool {
	others := func(finalizer string) bool { return finalizer != Finalizer }
	return o.GetDeletionTimestamp() != nil && !slices.ContainsFunc(o.GetFinalizers(), others)
}

// released reports whether a resource is on its way out without us.
func released(o Object) bool {
	return o.GetDeletionTimestamp() != nil && !controllerutil.ContainsFinalizer(o, Finalizer)
}

// catchUp takes over what the caller wrote to the resource itself since the draft began, with the same object: a label, a finalizer of its own. What obj says of its metadata
// may be in memory only, so the API server is asked. Anything else that changed meanwhile is a conflict.
func (d *Draft) catchUp(ctx context.Context) error {
	if d.obj.GetResourceVersion() == d.base.GetResourceVersion() {
		return nil
	}
	live, err := d.readLive(ctx)
	if err != nil {
		return fmt.Errorf("read what was written since the draft began: %w", err)
	}
	same, err := sameBut(d.base, live)
	if err != nil {
		return err
	}
	if !same || live.GetResourceVersion() != d.obj.GetResourceVersion() || live.GetUID() != d.base.GetUID() || headOf(live) != headOf(d.base) {
		return apierrors.NewConflict(groupResource(d.obj), d.obj.GetName(), errors.New("more than its metadata changed since the draft began"))
	}
	d.base = live
	return nil
}

// readLive reads into a new object: decoding into a used one would keep fields that the live version no longer has.
func (d *Draft) readLive(ctx context.Context) (Object, error) {
	live := newLike(d.obj)
	err := d.writer.live.Get(ctx, client.ObjectKeyFromObject(d.obj), live)
	return live, err
}

// newLike is a new object of the type of another.
func newLike(o Object) Object { return reflect.New(reflect.TypeOf(o).Elem()).Interface().(Object) }

func headOf(o Object) string {
	if out := outboxapi.Get(o); out != nil {
		return out.HeadHash
	}
	return ""
}

func adoptMetadata(to, from Object) {
	to.SetResourceVersion(from.GetResourceVersion())
	to.SetGeneration(from.GetGeneration())
	to.SetFinalizers(from.GetFinalizers())
	to.SetLabels(from.GetLabels())
	to.SetAnnotations(from.GetAnnotations())
	to.SetDeletionTimestamp(from.GetDeletionTimestamp())
	to.SetDeletionGracePeriodSeconds(from.GetDeletionGracePeriodSeconds())
	to.SetOwnerReferences(from.GetOwnerReferences())
	to.SetManagedFields(from.GetManagedFields())
}

// sameBut compares two versions without their metadata and outboxes. A status that somebody else wrote without an entry counts as a difference: two
// managers that both wrote down what they are about to do must not both go on.
func sameBut(a, b Object) (bool, error) {
	left, err := bare(a)
	if err != nil {
		return false, err
	}
	right, err := bare(b)
	if err != nil {
		return false, err
	}
	return equality.Semantic.DeepEqual(left, right), nil
}

func bare(o Object) (map[string]any, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", entry.SourceOf(o), err)
	}
	for _, k := range []string{"metadata", "apiVersion", "kind"} {
		delete(content, k)
	}
	if status, ok := content["status"].(map[string]any); ok {
		delete(status, "outbox")
		if len(status) == 0 {
			delete(content, "status")
		}
	}
	return content, nil
}
