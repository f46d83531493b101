package outbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// ErrReleased says that the resource is being deleted and does not have the finalizer: it gets no entries, and its controller should do nothing more.
var ErrReleased = errors.New("resource is being deleted without the outbox finalizer")

// ErrSpent says that a Draft was used again after one of its calls had failed. What its object says may not be what was written, so nothing is written any more: read the
// resource again, and begin with a new Draft.
var ErrSpent = errors.New("the draft is spent by an earlier error")

// rebases bounds how often one Save follows a resource that others keep touching.
const rebases = 10

// Writer is how controllers save status. One serves all controllers of a process.
type Writer struct {
	client     client.Client
	live       client.Reader
	watermarks Watermarks
	limits     Limits
	clock      clock.PassiveClock
	recorder   events.EventRecorder

	mu      sync.Mutex
	written map[client.ObjectKey]version // by kind too, see keyOf
}

// version is the newest write of ours to a resource.
type version struct {
	uid             types.UID
	resourceVersion string
	at              time.Time
}

// StaleFor bounds how long Stale waits for a cache to reach our own write: after a restored etcd it never does, and no event says so. Look again after it.
const StaleFor = 30 * time.Second

// Option changes a Writer's default.
type Option func(*Writer)

// WithLimits replaces DefaultLimits.
func WithLimits(l Limits) Option { return func(w *Writer) { w.limits = l } }

// WithClock replaces the system's clock.
func WithClock(c clock.PassiveClock) Option { return func(w *Writer) { w.clock = c } }

// NewWriter makes a Writer. live reads from the API server, not from a cache (a manager's GetAPIReader).
func NewWriter(c client.Client, live client.Reader, watermarks Watermarks, options ...Option) *Writer {
	w := &Writer{client: c, live: live, watermarks: watermarks, limits: DefaultLimits(), clock: clock.RealClock{}, written: map[client.ObjectKey]version{}}
	for _, o := range options {
		o(w)
	}
	return w
}

// Draft is one reconcile's working copy of a resource: the caller changes obj, and Save writes what it changed.
type Draft struct {
	writer *Writer
	obj    Object
	base   Object
	kind   string
	// spent is true after an error: nothing may be saved from what the object says now.
	spent bool
}

// Draft begins with obj as it was read. The caller owns obj (a client's Get gives a copy) and changes its status freely, but never its outbox.
func (w *Writer) Draft(obj Object) *Draft {
	kind := reflect.TypeOf(obj).Elem().Name()
	if gvk, err := apiutil.GVKForObject(obj, w.client.Scheme()); err == nil {
		kind = gvk.Kind
	}
	return &Draft{writer: w, obj: obj, base: obj.DeepCopyObject().(Object), kind: kind}
}

// Stale reports whether obj, read from a cache, is older than this writer's own last write to it. Then return, and wait for the event that is under way: RequeueAfter StaleFor,
// since after a restored etcd there is none.
func (w *Writer) Stale(obj Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	last, ok := w.written[keyOf(obj)]
	if !ok || last.uid != obj.GetUID() || w.clock.Since(last.at) > StaleFor {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(obj.GetResourceVersion(), last.resourceVersion)
	return err == nil && order < 0
}

// Forget drops what the writer remembers of a resource that is gone. obj needs its type, namespace and name only.
func (w *Writer) Forget(obj Object, key client.ObjectKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, typedKey(obj, key))
}

func (w *Writer) remember(obj Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[keyOf(obj)] = version{uid: obj.GetUID(), resourceVersion: obj.GetResourceVersion(), at: w.clock.Now()}
}

func keyOf(obj Object) client.ObjectKey { return typedKey(obj, client.ObjectKeyFromObject(obj)) }

func typedKey(obj Object, key client.ObjectKey) client.ObjectKey {
	return client.ObjectKey{Namespace: reflect.TypeOf(obj).Elem().String() + "|" + key.Namespace, Name: key.Name}
}

// IgnoreConflict turns a conflict into silence: the cache was old, and the event that brings the newer version starts the reconciler again.
func IgnoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// FailedTest distinguishes a JSON patch whose test failed, since somebody changed the resource, from one whose result breaks a rule of the kind: both are 422, but the
// latter names what is wrong, and is not fixed by working the patch out anew.
func FailedTest(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
		return false
	}
	details := status.Status().Details
	return details == nil || len(details.Causes) == 0
}

// Save writes the status, and with it an entry if a change is given, in one PUT. Without a change it writes only if the status differs from what was
// read. On success obj is what the API server holds now, and the draft goes on from there. After an error the draft is spent, and every further call is ErrSpent.
//
// Errors: a conflict (see the package's rebase rule), ErrReleased, ErrOversized, ErrSpent, those of Append, those of the API server.
func (d *Draft) Save(ctx context.Context, change *Change) error {
	if d.spent {
		return fmt.Errorf("save %s: %w", SourceOf(d.obj), ErrSpent)
	}
	err := d.save(ctx, change)
	d.spent = err != nil
	return err
}

func (d *Draft) save(ctx context.Context, change *Change) error {
	if err := d.catchUp(ctx); err != nil {
		return err
	}
	if change == nil {
		same, err := sameBut(d.base, d.obj)
		if err != nil || same {
			return err
		}
	} else if d.released() {
		return fmt.Errorf("%w: %s", ErrReleased, SourceOf(d.obj))
	}
	if err := d.auditable(ctx); err != nil {
		return err
	}
	head := headOf(d.base)
	o := d.base.GetOutbox().DeepCopy() // what was read: the outbox of obj is nobody's to change
	if o != nil {
		acknowledge(d.obj.GetUID(), o, d.writer.watermarks.Watermark(d.obj.GetUID()))
	}
	d.obj.SetOutbox(o)
	if change != nil {
		if err := d.append(ctx, *change); err != nil {
			return d.explainFull(ctx, err)
		}
		// Only now: a change that cannot be appended must not leave a finalizer behind that nobody releases.
		if err := d.ensureFinalizer(ctx); err != nil {
			return err
		}
	}
	if err := d.put(ctx, head, change != nil); err != nil {
		return d.explainTooLarge(ctx, err)
	}
	if change != nil {
		appended.WithLabelValues(d.kind).Inc()
	}
	return nil
}

func newSalt() (s Salt) {
	_, _ = rand.Read(s[:]) // never fails (package crypto/rand)
	return s
}

func (d *Draft) append(ctx context.Context, change Change) error {
	if tp := d.obj.GetAnnotations()[TraceparentAnnotation]; change.Traceparent == "" && ValidTraceparent(tp) {
		change.Traceparent = tp
	}
	next, repaired, err := Append(d.obj.GetOutbox(), SourceOf(d.obj), change, d.writer.clock.Now(), newSalt(), d.writer.limits)
	if err != nil {
		if errors.Is(err, ErrFull) {
			full.WithLabelValues(d.kind).Inc()
		}
		return err
	}
	if repaired > 0 {
		logf.FromContext(ctx).Info("Replaced characters that cannot be stored by U+FFFD", "event", change.Event, "sequence", next.LastSequence, "places", repaired)
	}
	d.obj.SetOutbox(next)
	return nil
}

// released reports whether the resource is on its way out without us.
func (d *Draft) released() bool {
	return d.base.GetDeletionTimestamp() != nil && !controllerutil.ContainsFinalizer(d.base, Finalizer)
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

// ensureFinalizer makes sure that the finalizer is there before an entry is. Only what was read counts: the caller may have put it into obj, or taken it out, in memory.
func (d *Draft) ensureFinalizer(ctx context.Context) error {
	if controllerutil.ContainsFinalizer(d.base, Finalizer) {
		return nil
	}
	patched := d.base.DeepCopyObject().(Object)
	controllerutil.AddFinalizer(patched, Finalizer)
	if err := d.writer.client.Patch(ctx, patched, client.MergeFromWithOptions(d.base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add finalizer %s: %w", Finalizer, err)
	}
	if !controllerutil.ContainsFinalizer(patched, Finalizer) {
		return fmt.Errorf("add finalizer %s: the API server took the request, and the finalizer is not there; look for an admission webhook or policy that removes it", Finalizer)
	}
	adoptMetadata(d.obj, patched)
	adoptMetadata(d.base, patched)
	return nil
}

// put writes the status once, and again after a conflict when only the relay or somebody's label came between.
func (d *Draft) put(ctx context.Context, head string, entry bool) error {
	for range rebases {
		wanted := d.obj.DeepCopyObject().(Object)
		err := d.writer.client.Status().Update(ctx, wanted)
		if err == nil {
			return d.adopt(wanted)
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("save status: %w", explainSchema(err))
		}
		live, getErr := d.readLive(ctx)
		if getErr != nil {
			return fmt.Errorf("read after a conflict: %w", getErr)
		}
		if entry && live.GetUID() == d.obj.GetUID() && headOf(live) == headOf(d.obj) {
			return d.adopt(live) // our own write, whose reply was lost
		}
		untouched, cmpErr := sameBut(d.base, live)
		if cmpErr != nil {
			return cmpErr
		}
		if !untouched || live.GetUID() != d.base.GetUID() || headOf(live) != head || entry && !controllerutil.ContainsFinalizer(live, Finalizer) {
			return err
		}
		d.rebase(live, entry)
	}
	return apierrors.NewConflict(groupResource(d.obj), d.obj.GetName(), errors.New("others keep changing it"))
}

// explainSchema names a CustomResourceDefinition that is not of this release: entries were objects in development versions.
func explainSchema(err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, cause := range status.Status().Details.Causes {
		if strings.HasPrefix(cause.Field, "status.outbox.entries[") && strings.Contains(cause.Message, "must be of type object") {
			return fmt.Errorf("%w; the CustomResourceDefinition is of a development version, whose entries are objects: apply the one of this release", err)
		}
	}
	return err
}

// rebase takes the live version with its trimmed entries, and our status with the same entry, if any, again.
func (d *Draft) rebase(live Object, entry bool) {
	ours, merged := d.obj.GetOutbox(), live.GetOutbox().DeepCopy()
	if entry {
		if merged == nil {
			merged = &outboxapi.Outbox{}
		}
		push(merged, ours.Entries[len(ours.Entries)-1], ours.HeadHash, ours.Closed)
	}
	if merged != nil {
		acknowledge(d.obj.GetUID(), merged, d.writer.watermarks.Watermark(d.obj.GetUID()))
		d.obj.SetOutbox(merged)
	}
	adoptMetadata(d.obj, live)
}

// adopt makes the caller's object, and the base of the next Save, what the API server holds.
func (d *Draft) adopt(saved Object) error {
	d.writer.remember(saved)
	d.base = saved.DeepCopyObject().(Object)
	reflect.ValueOf(d.obj).Elem().Set(reflect.ValueOf(saved).Elem())
	return nil
}

// readLive reads into a new object: decoding into a used one would keep fields that the live version no longer has.
func (d *Draft) readLive(ctx context.Context) (Object, error) {
	live := reflect.New(reflect.TypeOf(d.obj).Elem()).Interface().(Object)
	err := d.writer.live.Get(ctx, client.ObjectKeyFromObject(d.obj), live)
	return live, err
}

func headOf(o Object) string {
	if out := o.GetOutbox(); out != nil {
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
		return nil, fmt.Errorf("compare %s: %w", SourceOf(o), err)
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
