package relay

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// process is a manager: the real Writer and the real relay, over a cache of its own that lags behind as it likes.
type process struct {
	sim     *simulation
	cache   map[string]*notification
	at      int // position in the server's log
	writer  *outbox.Writer
	kind    *kindReconciler
	watcher *watcher
	flusher *flusher
	// putConflicted says that the last call was a status write that met a conflict.
	putConflicted bool
	// state without an entry, as the controller read it before the save under way.
	state string
	// late is a finalizer that a mutant adds after the entry.
	late func()
}

// start makes a process that knows nothing but a list of what is there, which may be old.
func (s *simulation) start() *process {
	p := &process{sim: s, cache: map[string]*notification{}}
	p.at = max(0, len(s.server.log)-s.intn(3))
	for _, h := range s.server.log[:p.at] {
		p.remember(h)
	}
	t := newTracker(s.config)
	c := &modelClient{p: p}
	p.kind = &kindReconciler{client: c, tracker: t, config: s.config, recorder: &events.FakeRecorder{}, kind: "NotificationRequest", newObject: func() outbox.Object { return &notification{} }}
	p.watcher = &watcher{kind: p.kind}
	p.flusher = newFlusher(modelStore{p: p}, t, s.config)
	p.writer = outbox.NewWriter(c, modelReader{p: p}, watermarks{p: p}, outbox.WithClock(s.clock))
	return p
}

// watermarks are the relay's. A mutant believes them for any entry of the same sequence.
type watermarks struct{ p *process }

func (w watermarks) Watermark(uid types.UID) entry.Watermark {
	return w.p.believed(w.p.kind.tracker.watermark(uid), uid)
}

func (w watermarks) Limits() outbox.Limits { return w.p.sim.config.Limits }

func (p *process) believed(w entry.Watermark, uid types.UID) entry.Watermark {
	if !p.sim.mutant.bySequence {
		return w
	}
	for _, obj := range p.sim.server.live {
		if obj.UID != uid || obj.Status.Outbox == nil {
			continue
		}
		for _, e := range entriesOf(obj.Status.Outbox) {
			if e.Sequence == w.Sequence {
				w.Hash = e.hash
			}
		}
	}
	return w
}

func (p *process) remember(h happening) {
	if h.gone {
		delete(p.cache, h.obj.Name)
	} else {
		p.cache[h.obj.Name] = h.obj
	}
}

// deaf takes what the event handler queues: the simulation reconciles when it likes.
type deaf struct{ queue }

func (deaf) Add(reconcile.Request) {}

// deliver is the next event of the watch.
func (p *process) deliver() {
	if p.at == len(p.sim.server.log) {
		return
	}
	h := p.sim.server.log[p.at]
	p.at++
	old := p.cache[h.obj.Name]
	p.remember(h)
	p.handle(old, h.obj, h.gone)
}

func (p *process) handle(old, obj *notification, gone bool) {
	switch {
	case gone:
		p.watcher.Delete(p.sim.ctx, event.TypedDeleteEvent[outbox.Object]{Object: obj.DeepCopy()}, deaf{})
	case old == nil:
		p.watcher.Create(p.sim.ctx, event.TypedCreateEvent[outbox.Object]{Object: obj}, deaf{})
	default:
		p.watcher.Update(p.sim.ctx, event.TypedUpdateEvent[outbox.Object]{ObjectOld: old.DeepCopy(), ObjectNew: obj}, deaf{})
	}
}

// relist is what follows a gap in the watch: of what came between, only the end is generation.
func (p *process) relist() {
	before := p.cache
	p.cache = maps.Clone(p.sim.server.live)
	p.at = len(p.sim.server.log)
	for _, name := range simulated {
		old, obj := before[name], p.cache[name]
		switch {
		case old != nil && obj == nil:
			p.handle(old, old, true)
		case obj != nil && (old == nil || old.ResourceVersion != obj.ResourceVersion):
			p.handle(old, obj, false)
		}
	}
}

// died unwinds a process whose end has come.
type died struct{ p *process }

var errLost = errors.New("the reply was lost")

// call is one request to the API server. Others act before it arrives and before its reply does; the process may die at either end, and the reply may be lost.
func (p *process) call(into client.Object, do func() (*notification, error)) error {
	s := p.sim
	s.meanwhile(p)
	p.mayDie()
	obj, err := do()
	p.mayDie()
	s.meanwhile(p)
	if err == nil && s.one(20) { // the transport did not get the reply, and has sent the request again by itself
		obj, err = do()
	}
	switch {
	case err != nil:
		return err
	case s.one(12):
		s.happened["lost reply"]++
		return errLost
	}
	*into.(*notification) = *obj.DeepCopy()
	return nil
}

func (p *process) mayDie() {
	if p.sim.one(40) {
		panic(died{p})
	}
}

func (p *process) putStatus(want *notification) (*notification, error) {
	if old := p.sim.server.live[want.Name]; old != nil && old.UID == want.UID && old.ResourceVersion == want.ResourceVersion && old.Status.DeliveryStatus != p.state {
		p.sim.violated("a state that somebody else has written is overwritten by one who did not know it")
	}
	obj, err := p.sim.server.putStatus(want)
	if p.putConflicted = apierrors.IsConflict(err); p.putConflicted {
		p.sim.happened["conflict"]++
	}
	if late := p.late; late != nil && err == nil {
		p.late = nil
		late()
	}
	return obj, err
}

func (p *process) addFinalizer(obj client.Object, patch []byte) (*notification, error) {
	p.putConflicted = false
	if !p.sim.mutant.finalizerLate {
		return p.sim.server.addFinalizer(obj.GetName(), patch)
	}
	p.late = func() {
		if old := p.sim.server.live[obj.GetName()]; old != nil && len(old.Finalizers) == 0 {
			held := old.DeepCopy()
			held.Finalizers = []string{outbox.Finalizer}
			p.sim.server.commit(old, held, "finalizer")
		}
	}
	said := obj.(*notification).DeepCopy()
	return said, nil
}

// control is one reconcile of the resource's controller. What it does to the world is the token: one state, one entry, once.
func (p *process) control(name string) {
	obj := &notification{}
	if p.kind.client.Get(p.sim.ctx, client.ObjectKey{Namespace: "shop", Name: name}, obj) != nil {
		return
	}
	released := obj.DeletionTimestamp != nil && len(obj.Finalizers) == 0
	if p.writer.Stale(obj) > 0 || released || obj.Status.Outbox != nil && obj.Status.Outbox.Closed {
		return
	}
	draft := p.writer.Draft(obj)
	for range 1 + p.sim.intn(2) {
		if final, err := p.save(draft, obj); final || err != nil {
			return
		}
	}
}

func (p *process) save(draft *outbox.Draft, obj *notification) (final bool, _ error) {
	s := p.sim
	token := s.token()
	base, restores := obj.ResourceVersion, s.restores
	uid := obj.UID
	p.state = obj.Status.DeliveryStatus
	if obj.DeletionTimestamp == nil && s.one(4) { // a state that no entry tells of, such as an intent
		obj.Status.DeliveryStatus = token
		err := draft.Save(s.ctx, nil)
		s.judge(p, err, uid, base, "")
		return false, err
	}
	final = obj.DeletionTimestamp != nil || s.one(8)
	if s.one(4) {
		token = silent + token
	} else {
		obj.Status.FailureReason = token
	}
	change := &entry.Change{Kind: entry.KindNotification, Event: "E", Record: map[string]string{"token": token}, Final: final}
	err := draft.Save(s.ctx, change)
	if s.mutant.retries && err != nil { // a retry loop around a closure that appends
		fresh := &notification{}
		if p.writer != nil && (modelReader{p: p}).Get(s.ctx, client.ObjectKeyFromObject(obj), fresh) == nil {
			again := p.writer.Draft(fresh)
			p.state = fresh.Status.DeliveryStatus
			fresh.Status.FailureReason = obj.Status.FailureReason
			err = again.Save(s.ctx, change)
		}
	}
	if err == nil && s.appends[token] != 1 && s.restores == restores {
		s.violated("Save of %s succeeded, and its entry was appended %d times", token, s.appends[token])
	}
	s.judge(p, err, uid, base, token)
	return final, err
}

// silent begins the token of an entry that changes no state: it only tells of something.
const silent = "e"

// judge holds a conflict that reached the caller to the rebase rule: neither a trim, nor a label, nor its own write is a reason to do anything again.
func (s *simulation) judge(p *process, err error, uid types.UID, base, token string) {
	if !apierrors.IsConflict(err) || !p.putConflicted || s.mutant.finalizerLate {
		return
	}
	reasons := 0
	for _, h := range s.server.log {
		if h.obj.UID == uid && newer(h.obj.ResourceVersion, base) && h.how != "trim" && h.how != "label" && h.how != "finalizer" {
			reasons++
		}
	}
	if reasons == s.appends[token] {
		s.violated("only trims, labels and the write itself came between, and the conflict reached the caller: %v", err)
	}
}

func newer(a, b string) bool { return len(a) > len(b) || len(a) == len(b) && a > b }

// reconcile is the relay's.
func (p *process) reconcile(name string) {
	_, _ = p.kind.Reconcile(p.sim.ctx, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "shop", Name: name}})
}

func (p *process) flush() int {
	m := p.sim.mutant
	if m.trustsAfterOutage {
		p.flusher.breaker.reset()
		p.kind.tracker.phase = steady
	}
	n, err := p.flusher.runOnce(p.sim.ctx)
	switch {
	case err == nil:
	case m.trustsInOutage:
		p.flusher.breaker.trip(err)
	default:
		p.flusher.report(p.sim.ctx, err)
	}
	return n
}

// modelStore is a process's way to the store.
type modelStore struct{ p *process }

// Persist is one transaction, of which the reply may be lost.
func (m modelStore) Persist(_ context.Context, batch []Item) ([]Outcome, error) {
	s := m.p.sim
	if s.down {
		return nil, errLost
	}
	s.meanwhile(m.p)
	m.p.mayDie()
	if s.one(10) {
		if s.mutant.acknowledgesRollback {
			return stored(len(batch)), nil
		}
		return nil, errLost
	}
	outcomes := s.store.persist(s, batch)
	m.p.mayDie()
	s.meanwhile(m.p)
	if s.one(10) {
		return nil, errLost
	}
	return outcomes, nil
}

// rows is what the store holds, by id: the hash. Letters are dead letters, by id and hash.
type rows struct {
	byID    map[string]string
	letters map[string]bool
	durable map[string]bool // by hash
	log     []logged        // of what became durable, oldest first
}

type logged struct{ id, hash string }

func (r *rows) persist(s *simulation, batch []Item) []Outcome {
	outcomes := stored(len(batch))
	for i, item := range batch {
		hash, there := r.byID[item.ID]
		switch {
		case item.Refused != "":
			s.violated("entry %d of %s was refused: %s", item.Sequence, item.Source, item.Refused)
		case strings.HasPrefix(entry.Hash(item.Entry.Record), "0"): // poison, as the seed says: hashes of entries depend on their salt
			outcomes[i].Result = DeadLettered
		case !there:
			r.byID[item.ID] = item.Hash
		case hash == item.Hash:
			outcomes[i].Result = Present
		default:
			outcomes[i].Result = Conflicting
		}
		s.happened[map[Result]string{Stored: "row", Present: "row there before", DeadLettered: "dead letter", Conflicting: "row of another history"}[outcomes[i].Result]]++
		if outcomes[i].Result == DeadLettered || outcomes[i].Result == Conflicting {
			r.letters[item.ID+" "+item.Hash] = true
		}
		if !r.durable[item.Hash] {
			r.durable[item.Hash] = true
			r.log = append(r.log, logged{id: item.ID, hash: item.Hash})
		}
	}
	return outcomes
}

// lose forgets what became durable after the first so many, if it is among those that may be lost.
func (r *rows) lose(first int, mayBeLost map[string]bool) (lost int) {
	kept := slices.Clone(r.log[:first])
	for _, l := range r.log[first:] {
		if !mayBeLost[l.hash] {
			kept = append(kept, l)
			continue
		}
		lost++
		if r.byID[l.id] == l.hash {
			delete(r.byID, l.id)
		}
		delete(r.letters, l.id+" "+l.hash)
		delete(r.durable, l.hash)
	}
	r.log = kept
	return lost
}

// holds counts the rows and dead letters of an entry.
func (r *rows) holds(id, hash string) (n int) {
	if r.byID[id] == hash {
		n++
	}
	if r.letters[id+" "+hash] {
		n++
	}
	return n
}

func tokenOf(e *entry.Entry) string {
	_, rest, _ := strings.Cut(string(e.Record), `"token":"`)
	token, _, _ := strings.Cut(rest, `"`)
	return token
}

// simulated are the names that resources have, and have again.
var simulated = []string{"a", "b"}

func (s *simulation) token() string {
	s.tokens++
	return fmt.Sprintf("t%d", s.tokens)
}
