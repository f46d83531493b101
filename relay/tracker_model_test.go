package relay

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// model is what the tracker is held against: resources that are appended to, trimmed, restored and deleted at random, and a store that remembers by hash what
// it took. It drives the tracker as the reconcilers, the event handler and the flusher do: versions of one resource are observed in order, and one batch is in flight at most.
type model struct {
	tracker *tracker
	kind    *kindReconciler
	live    []*v1alpha1.NotificationRequest
	// read are versions that a reconciler has read and not yet handed over, each with what it asked for before.
	read  []reading
	batch *batch
	// durable, unknown and due are hashes: rows or dead letters; entries whose schema version is unknown; entries that the tracker was shown and must not lose.
	durable map[string]bool
	unknown map[string]bool
	due     map[string]types.UID
	gone    map[types.UID]bool
	// highest is where each watermark was; one of a resource that was restored may go back once.
	highest  map[types.UID]int64
	restored map[types.UID]bool
	made     int
}

type reading struct {
	obj        *v1alpha1.NotificationRequest
	generation deletions
}

func newModel(t *rapid.T) *model {
	c := Config{
		BatchRows:        rapid.IntRange(1, 6).Draw(t, "rows"),
		BatchBytes:       rapid.SampledFrom([]int{1, 2000, 8 << 20}).Draw(t, "bytes"),
		MaxOrphaned:      rapid.SampledFrom([]int{4, 16, 4000}).Draw(t, "orphaned"),
		MaxOrphanedBytes: rapid.SampledFrom([]int{16000, 8 << 20}).Draw(t, "orphaned bytes"),
	}
	tr, k := tracking(c)
	return &model{tracker: tr, kind: k, durable: map[string]bool{}, unknown: map[string]bool{}, due: map[string]types.UID{}, gone: map[types.UID]bool{},
		highest: map[types.UID]int64{}, restored: map[types.UID]bool{}}
}

func (m *model) pick(t *rapid.T) *v1alpha1.NotificationRequest {
	if len(m.live) == 0 {
		m.create("n")
	}
	return m.live[rapid.IntRange(0, len(m.live)-1).Draw(t, "which")]
}

func (m *model) create(name string) {
	m.made++
	m.live = append(m.live, &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: []string{"shop", "bank", "lab"}[m.made%3], Name: name, UID: types.UID(fmt.Sprintf("u%d", m.made)), CreationTimestamp: metav1.NewTime(begin)}})
}

// Create makes a resource; it has no outbox yet.
func (m *model) Create(t *rapid.T) {
	if len(m.live) > 4 {
		t.Skip("enough")
	}
	m.create(fmt.Sprintf("n%d", m.made))
}

// Append is a controller's write: it drops what is durable and appends.
func (m *model) Append(t *rapid.T) {
	obj := m.pick(t)
	m.trim(obj)
	for range rapid.IntRange(1, 4).Draw(t, "entries") {
		next, _, err := entry.Append(obj.Status.Outbox, entry.SourceOf(obj), entry.Change{
			Kind: entry.KindNotification, Event: "E", Record: map[string]int{"n": rapid.Int().Draw(t, "n") % 1000}}, begin.Add(time.Duration(len(m.due))*time.Second), entry.Salt{}, entry.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		obj.Status.Outbox = next
		if rapid.IntRange(0, 9).Draw(t, "unknown") == 0 {
			m.unknown[next.HeadHash] = true
		}
	}
}

// Trim is the relay's patch.
func (m *model) Trim(t *rapid.T) { m.trim(m.pick(t)) }

func (m *model) trim(obj *v1alpha1.NotificationRequest) {
	if o := obj.Status.Outbox; o != nil {
		o.Entries = slices.Clone(entry.PendingOf(obj.UID, o).Above(m.tracker.watermark(obj.UID)).Texts())
	}
}

// Read is a reconciler's Get.
func (m *model) Read(t *rapid.T) {
	obj := m.pick(t)
	if obj.Status.Outbox == nil || slices.ContainsFunc(m.read, func(r reading) bool { return r.obj.UID == obj.UID }) {
		t.Skip("nothing to read, or read already")
	}
	m.read = append(m.read, reading{obj: obj.DeepCopy(), generation: m.tracker.generation()})
}

// Observe is the same reconciler's next step. The resource may be gone by now.
func (m *model) Observe(t *rapid.T) {
	if len(m.read) == 0 {
		t.Skip("nothing read")
	}
	i := rapid.IntRange(0, len(m.read)-1).Draw(t, "which")
	r := m.read[i]
	m.read = slices.Delete(m.read, i, i+1)
	if m.tracker.observe(m.kind, r.obj, r.generation) {
		m.show(r.obj)
	}
}

func (m *model) show(obj *v1alpha1.NotificationRequest) {
	for _, e := range entriesOf(obj.Status.Outbox) {
		m.due[e.hash] = obj.UID
	}
}

// Orphan is the deletion of a resource whose finalizer was stripped, as its event says it.
func (m *model) Orphan(t *rapid.T) {
	obj := m.pick(t)
	m.live = slices.DeleteFunc(m.live, func(o *v1alpha1.NotificationRequest) bool { return o == obj })
	m.gone[obj.UID] = true
	before := m.tracker.orphans
	before.in = maps.Clone(before.in)
	m.tracker.orphan(t.Context(), m.kind, obj)
	if obj.Status.Outbox == nil {
		return
	}
	m.show(obj)
	if r := m.tracker.resources[obj.UID]; r == nil { // dropped, parked, or nothing left to drain
		if m.tracker.orphans.all != before.all {
			t.Fatalf("%s is forgotten, and still counted", obj.UID)
		}
		m.excuse(obj, before.exceeds(m.tracker.config, obj.Namespace, usageOf(obj.Status.Outbox.Entries)) != "")
	}
}

func usageOf(texts []outboxapi.Entry) usage {
	u := usage{entries: len(texts)}
	for _, text := range texts {
		u.bytes += len(text)
	}
	return u
}

// excuse takes off what the tracker says it gave up: what it dropped, or what comes after an entry that nobody can read.
func (m *model) excuse(obj *v1alpha1.NotificationRequest, dropped bool) {
	parked := false
	for _, e := range entriesOf(obj.Status.Outbox) {
		parked = parked || m.unknown[e.hash] && !m.durable[e.hash]
		if dropped || parked {
			delete(m.due, e.hash)
		}
	}
}

// Restore puts a resource back to an older state of etcd: entries of its end are gone, and their sequences are given out again.
func (m *model) Restore(t *rapid.T) {
	obj := m.pick(t)
	o := obj.Status.Outbox
	if o == nil || len(o.Entries) < 2 || slices.ContainsFunc(m.read, func(r reading) bool { return r.obj.UID == obj.UID }) {
		t.Skip("nothing to lose")
	}
	keep := rapid.IntRange(1, len(o.Entries)-1).Draw(t, "keep")
	all := entriesOf(o)
	for _, e := range all[keep:] {
		delete(m.due, e.hash)
	}
	o.Entries = slices.Clone(o.Entries[:keep])
	o.LastSequence, o.HeadHash = all[keep-1].Sequence, all[keep-1].hash
	m.restored[obj.UID] = true
}

// Dequeue is the flusher's next batch.
func (m *model) Dequeue(t *rapid.T) {
	if m.batch != nil {
		t.Skip("one at a time")
	}
	m.dequeue(t)
}

func (m *model) dequeue(t *rapid.T) {
	f := m.tracker.dequeue()
	if len(f.items) == 0 {
		return
	}
	if len(f.items) > m.tracker.config.BatchRows {
		t.Fatalf("%d items in a batch of %d", len(f.items), m.tracker.config.BatchRows)
	}
	ids := map[string]bool{}
	for _, i := range f.items {
		if i.Refused != "" || ids[i.ID] {
			t.Fatalf("%s: refused %q, or twice in one batch", i.ID, i.Refused)
		}
		ids[i.ID] = true
	}
	m.batch = &f
}

// Commit is a COMMIT that was acknowledged.
func (m *model) Commit(t *rapid.T) {
	if m.batch == nil {
		t.Skip("nothing in flight")
	}
	outcomes := stored(len(m.batch.items))
	for i, item := range m.batch.items {
		if m.unknown[item.Hash] {
			outcomes[i].Result = Unsupported
			continue
		}
		outcomes[i].Result = rapid.SampledFrom([]Result{Stored, Present, DeadLettered, Conflicting}).Draw(t, "outcome")
		m.durable[item.Hash] = true
	}
	f := *m.batch
	m.batch = nil
	m.tracker.commit(f, outcomes)
	for uid := range f.whole {
		if m.gone[uid] && m.tracker.resources[uid] == nil {
			m.excuseAll(uid)
		}
	}
}

// excuseAll takes off what was behind an unknown entry when its orphan was given up.
func (m *model) excuseAll(uid types.UID) {
	parked := slices.ContainsFunc(m.entriesDue(uid), func(hash string) bool { return m.unknown[hash] })
	for _, hash := range m.entriesDue(uid) {
		if parked && !m.durable[hash] {
			delete(m.due, hash)
		}
	}
}

func (m *model) entriesDue(uid types.UID) (hashes []string) {
	for hash, of := range m.due {
		if of == uid {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// Fail is an error: the COMMIT may have happened.
func (m *model) Fail(t *rapid.T) {
	if m.batch == nil {
		t.Skip("nothing in flight")
	}
	if rapid.Bool().Draw(t, "committed") {
		for _, item := range m.batch.items {
			m.durable[item.Hash] = !m.unknown[item.Hash]
		}
	}
	m.tracker.requeue(*m.batch, false)
	m.batch = nil
}

// Upgrade is another relay, of a newer release, which knows what this one does not, and trims.
func (m *model) Upgrade(t *rapid.T) {
	obj := m.pick(t)
	o := obj.Status.Outbox
	if o == nil || len(o.Entries) == 0 || !m.unknown[entry.Hash([]byte(o.Entries[0]))] || slices.ContainsFunc(m.read, func(r reading) bool { return r.obj.UID == obj.UID }) {
		t.Skip("nothing unknown in front")
	}
	delete(m.due, entry.Hash([]byte(o.Entries[0])))
	o.Entries = slices.Clone(o.Entries[1:])
}

// Check holds after every step.
func (m *model) Check(t *rapid.T) {
	tr := m.tracker
	at := map[types.UID]int{}
	for namespace, l := range tr.queue.lines {
		if len(l.resources) == 0 || l.sent != 0 || !slices.Contains(tr.queue.turns, l) {
			t.Fatalf("the line of %s is empty, begun, or has no turn", namespace)
		}
		for _, r := range l.resources {
			if uid := r.source.UID; tr.resources[uid] != r || !r.queued || r.source.Namespace != namespace {
				t.Fatalf("%s is in the line of %s, and not tracked, not queued or of another namespace", uid, namespace)
			}
			at[r.source.UID]++
		}
	}
	if len(at) != tr.queue.size || len(tr.queue.turns) != len(tr.queue.lines) || tr.queue.turn != 0 && tr.queue.turn >= len(tr.queue.turns) {
		t.Fatalf("%d resources in %d lines are queued, %d and %d are counted, the turn is %d", len(at), len(tr.queue.lines), tr.queue.size, len(tr.queue.turns), tr.queue.turn)
	}
	orphaned := orphans{in: map[string]usage{}}
	for uid, r := range tr.resources {
		if r.queued && at[uid] != 1 {
			t.Fatalf("%s is queued, and %d times in the queue", uid, at[uid])
		}
		if n := r.sendable(tr.config.Clock.Now()).Len(); n > 0 && !r.queued && r.inFlight == 0 {
			t.Fatalf("%s has %d entries to send, and nobody will", uid, n)
		}
		if r.inFlight > 0 && m.batch == nil {
			t.Fatalf("%s is in flight in no batch", uid)
		}
		if r.orphaned {
			orphaned.add(r, usage{entries: r.pending.Len(), bytes: r.orphanBytes})
			if r.orphanBytes < usageOf(r.pending.Texts()).bytes {
				t.Fatalf("%s has more bytes than are counted", uid)
			}
			if !r.queued && r.inFlight == 0 {
				t.Fatalf("%s is orphaned, and kept for nothing", uid)
			}
		} else if m.gone[uid] {
			t.Fatalf("%s is gone, and is kept for ever", uid)
		}
		if w := r.watermark; w.Sequence > 0 {
			if !m.durable[w.Hash] {
				t.Fatalf("the watermark of %s is at %d, which is not durable", uid, w.Sequence)
			}
			if w.Sequence < m.highest[uid] && !m.restored[uid] {
				t.Fatalf("the watermark of %s went from %d back to %d", uid, m.highest[uid], w.Sequence)
			}
			m.highest[uid] = w.Sequence
		}
	}
	for _, obj := range m.live {
		o := obj.Status.Outbox
		if o == nil {
			continue
		}
		for _, e := range entriesOf(o)[:len(o.Entries)-entry.PendingOf(obj.UID, o).Above(tr.watermark(obj.UID)).Len()] {
			if !m.durable[e.hash] {
				t.Fatalf("entry %d of %s may be trimmed, and is not durable", e.Sequence, obj.UID)
			}
		}
	}
	if orphaned.all != tr.orphans.all || !maps.Equal(orphaned.in, tr.orphans.in) {
		t.Fatalf("of orphans %v is counted, there is %v", tr.orphans, orphaned)
	}
}

// finish lets everything end, and asks for each entry that the tracker was ever shown.
func (m *model) finish(t *rapid.T) {
	if m.batch != nil {
		m.Fail(t)
	}
	m.read = nil
	for range 2 {
		for _, obj := range m.live {
			if obj.Status.Outbox != nil {
				m.tracker.observe(m.kind, obj, m.tracker.generation())
				m.show(obj)
			}
		}
		for m.dequeue(t); m.batch != nil; m.dequeue(t) {
			m.Commit(t)
			m.Check(t)
		}
	}
	for _, obj := range m.live {
		m.excuseParked(obj)
	}
	for hash, uid := range m.due {
		if !m.durable[hash] {
			t.Fatalf("an entry of %s was lost", uid)
		}
	}
	if left := m.tracker.orphans; left.all != (usage{}) || len(left.in) > 0 {
		t.Fatalf("%v of orphans is left", left)
	}
	for uid := range m.gone {
		if m.tracker.resources[uid] != nil {
			t.Fatalf("%s is gone, and still there", uid)
		}
	}
}

// excuseParked takes off what is rightly pending.
func (m *model) excuseParked(obj *v1alpha1.NotificationRequest) {
	if obj.Status.Outbox == nil {
		return
	}
	parked := false
	for _, e := range entriesOf(obj.Status.Outbox) {
		parked = parked || m.unknown[e.hash]
		if parked {
			delete(m.due, e.hash)
		}
	}
}

func TestTheTrackerLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(t)
		t.Repeat(map[string]func(*rapid.T){
			"Create": m.Create, "Append": m.Append, "Trim": m.Trim, "Read": m.Read, "Observe": m.Observe, "Orphan": m.Orphan,
			"Restore": m.Restore, "Dequeue": m.Dequeue, "Commit": m.Commit, "Fail": m.Fail, "Upgrade": m.Upgrade, "": m.Check,
		})
		m.finish(t)
	})
}
