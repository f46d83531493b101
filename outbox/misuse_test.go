package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

var errRefused = errors.New("the API server was away")

// After an error nothing that the object says by then is saved: neither the state without its entry, nor the next entry with a gap before it.
func TestADraftIsSpentAfterAnError(t *testing.T) {
	for name, fail := range map[string]func(f *fixture, d *outbox.Draft) error{
		"the write fails": func(f *fixture, d *outbox.Draft) error {
			f.before = func() error { return errRefused }
			return d.Save(ctx, changeOf("Sent", "Sent"))
		},
		"the reply is lost": func(f *fixture, d *outbox.Draft) error {
			f.after = func() error { return errRefused }
			return d.Save(ctx, changeOf("Sent", "Sent"))
		},
		"the change is refused": func(_ *fixture, d *outbox.Draft) error { return d.Save(ctx, changeOf("not camel case", "Sent")) },
		"the reservation fails": func(_ *fixture, d *outbox.Draft) error {
			return d.Reserve(ctx, 1_000_000)
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, obj := setup(t)
			draft := f.writer.Draft(obj)
			obj.Status.Phase = v1alpha1.NotificationSending
			f.Expect(draft.Save(ctx, changeOf("Started", "Sending"))).To(Succeed())
			obj.Status.Phase = v1alpha1.NotificationSent
			f.Expect(fail(f, draft)).To(HaveOccurred())
			before := f.live(obj)

			f.Expect(draft.Save(ctx, nil)).To(MatchError(outbox.ErrSpent), "the state without its entry")
			f.Expect(draft.Save(ctx, changeOf("Again", "Sent"))).To(MatchError(outbox.ErrSpent), "the next entry")
			f.Expect(draft.Reserve(ctx, 1)).To(MatchError(outbox.ErrSpent))
			f.Expect(f.live(obj)).To(Equal(before))
		})
	}
}

// What the caller says of finalizers in memory proves nothing.
func TestNoEntryWithoutTheFinalizer(t *testing.T) {
	for name, c := range map[string]struct {
		between func(f *fixture, obj *v1alpha1.NotificationRequest)
		kept    []string
	}{
		"ours is added in memory": {func(_ *fixture, obj *v1alpha1.NotificationRequest) {
			controllerutil.AddFinalizer(obj, outbox.Finalizer)
		}, nil},
		"one of its own is saved with an update": {func(f *fixture, obj *v1alpha1.NotificationRequest) {
			controllerutil.AddFinalizer(obj, "example.com/mine")
			f.Expect(env.Client.Update(ctx, obj)).To(Succeed())
		}, []string{"example.com/mine"}},
		"the same, and then ours in memory": {func(f *fixture, obj *v1alpha1.NotificationRequest) {
			controllerutil.AddFinalizer(obj, "example.com/mine")
			f.Expect(env.Client.Update(ctx, obj)).To(Succeed())
			controllerutil.AddFinalizer(obj, outbox.Finalizer)
		}, []string{"example.com/mine"}},
		"a label is saved with a patch": {func(f *fixture, obj *v1alpha1.NotificationRequest) {
			f.Expect(env.Client.Patch(ctx, obj, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"a":"b"}}}`)))).To(Succeed())
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f, obj := setup(t)
			draft := f.writer.Draft(obj)
			status := obj.Status.DeepCopy()
			c.between(f, obj)
			obj.Status = *status
			obj.Status.Phase = v1alpha1.NotificationSending
			f.Expect(draft.Save(ctx, changeOf("Started", "Sending"))).To(Succeed())
			got := f.live(obj)
			f.Expect(got.Finalizers).To(ConsistOf(append(slices.Clone(c.kept), outbox.Finalizer)))
			f.Expect(got.Status.Outbox.LastSequence).To(BeEquivalentTo(1))
		})
	}
	t.Run("a status that went past the draft is a conflict", func(t *testing.T) {
		f, obj := setup(t)
		draft := f.writer.Draft(obj)
		obj.Status.Phase = v1alpha1.NotificationSending
		f.Expect(env.Client.Status().Update(ctx, obj)).To(Succeed())
		f.Expect(draft.Save(ctx, changeOf("Started", "Sending"))).To(Satisfy(apierrors.IsConflict))
	})
	t.Run("an outbox that the caller changed is not written", func(t *testing.T) {
		f, obj := setup(t)
		f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
		draft := f.writer.Draft(obj)
		obj.Status.Outbox.Entries, obj.Status.Outbox.LastSequence = nil, 7
		obj.Status.Phase = v1alpha1.NotificationRetrying
		f.Expect(draft.Save(ctx, changeOf("Two", "Retrying"))).To(Succeed())
		f.Expect(f.live(obj).Status.Outbox).To(And(HaveField("LastSequence", BeEquivalentTo(2)), HaveField("Entries", HaveLen(2))))
	})
}

// A record that holds the status it was made from doubles with each entry.
func TestARecordThatHoldsAnOutboxIsRefused(t *testing.T) {
	f, obj := setup(t)
	f.Expect(f.save(obj, v1alpha1.NotificationSending, "One")).To(Succeed())
	for name, record := range map[string]any{
		"the resource":       obj,
		"its status":         obj.Status,
		"its outbox":         obj.Status.Outbox,
		"among other things": map[string]any{"list": []any{1, map[string]any{"of": obj}}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, _, err := entry.Append(nil, entry.SourceOf(obj), outbox.Change{Kind: entry.KindNotification, Event: "Two", Record: record}, now, entry.Salt{}, outbox.DefaultLimits())
			g.Expect(err).To(MatchError(outbox.ErrInvalid))
			g.Expect(err).To(MatchError(And(ContainSubstring("record"), ContainSubstring("holds an outbox"))))
		})
	}
	_, _, err := entry.Append(nil, entry.SourceOf(obj), outbox.Change{Kind: entry.KindNotification, Event: "Two",
		Record: map[string]any{"headHash": "x", "entries": 3, "text": `{"headHash":1,"entries":2,"lastSequence":3}`}}, now, entry.Salt{}, outbox.DefaultLimits())
	f.Expect(err).NotTo(HaveOccurred(), "neither names of its members nor a text that looks like one is an outbox")
}

// misuse is a controller that does anything that compiles: it keeps drafts after errors, writes metadata in between, plays with finalizers and the outbox in memory.
type misuse struct {
	f     *fixture
	obj   *v1alpha1.NotificationRequest
	draft *outbox.Draft
	n     int
}

func (m *misuse) Draft(*rapid.T) {
	m.obj = m.f.live(m.obj)
	m.draft = m.f.writer.Draft(m.obj)
}

// Save writes a state that is named in its entry.
func (m *misuse) Save(t *rapid.T) {
	switch rapid.SampledFrom([]string{"", "", "", "fails", "reply lost", "somebody labels it", "somebody cancels it"}).Draw(t, "the write") {
	case "fails":
		m.f.before = func() error { return errRefused }
	case "reply lost":
		m.f.after = func() error { return errRefused }
	case "somebody labels it":
		m.f.before = func() error { return m.patch(fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, m.n)) }
	case "somebody cancels it":
		m.f.before = func() error { return m.patch(`{"spec":{"cancel":true}}`) }
	}
	m.n++
	m.obj.Status.FailureReason = fmt.Sprint("state ", m.n)
	_ = m.draft.Save(ctx, &outbox.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: map[string]any{"state": m.obj.Status.FailureReason}})
	m.f.before, m.f.after = nil, nil
}

// SaveNothing is what a controller does at the end of each reconcile, also after an error.
func (m *misuse) SaveNothing(*rapid.T) { _ = m.draft.Save(ctx, nil) }

func (m *misuse) Reserve(t *rapid.T) {
	_ = m.draft.Reserve(ctx, rapid.SampledFrom([]int{1, 1_000_000}).Draw(t, "entries"))
}

// Metadata is written past the draft, with the same object.
func (m *misuse) Metadata(t *rapid.T) {
	mine := rapid.SampledFrom([]string{"example.com/mine", outbox.Finalizer}).Draw(t, "finalizer")
	status := m.obj.Status.DeepCopy()
	m.obj.SetFinalizers(m.f.live(m.obj).GetFinalizers()) // who strips ours on purpose meets the policy and the relay
	if rapid.Bool().Draw(t, "added") {
		controllerutil.AddFinalizer(m.obj, mine)
	} else if mine != outbox.Finalizer {
		controllerutil.RemoveFinalizer(m.obj, mine)
	}
	_ = env.Client.Update(ctx, m.obj)
	m.obj.Status = *status
}

// Memory only.
func (m *misuse) Memory(t *rapid.T) {
	switch rapid.IntRange(0, 3).Draw(t, "what") {
	case 0:
		controllerutil.AddFinalizer(m.obj, outbox.Finalizer)
	case 1:
		controllerutil.RemoveFinalizer(m.obj, outbox.Finalizer)
	case 2:
		m.obj.Status.Outbox = nil
	case 3:
		if o := m.obj.Status.Outbox; o != nil {
			o.Entries, o.LastSequence = nil, o.LastSequence+2
		}
	}
}

// Acknowledge is the relay's part.
func (m *misuse) Acknowledge(*rapid.T) {
	if o := m.f.live(m.obj).Status.Outbox; o != nil {
		m.f.acks.set(m.obj.UID, entry.Watermark{Sequence: o.LastSequence, Hash: o.HeadHash, Time: now})
	}
}

func (m *misuse) patch(text string) error {
	return env.Client.Patch(ctx, m.f.live(m.obj), client.RawPatch("application/merge-patch+json", []byte(text)))
}

// Check is what must hold whatever the controller did: the state and its entry are one, sequences are gapless, and where an entry is there is the finalizer.
func (m *misuse) Check(t *rapid.T) {
	g := NewWithT(t)
	got := m.f.live(m.obj)
	o := got.Status.Outbox
	if o == nil || o.LastSequence == 0 {
		g.Expect(got.Status.FailureReason).To(BeEmpty(), "a state without an entry")
		return
	}
	g.Expect(got.Finalizers).To(ContainElement(outbox.Finalizer))
	entries := outboxtest.Entries(t, o)
	for i, e := range entries {
		g.Expect(e.Sequence).To(Equal(entry.PendingOf("", o).Sequence(i)))
	}
	g.Expect(o.LastSequence - int64(len(o.Entries))).To(Equal(o.PersistedSequence))
	if len(o.Entries) > 0 {
		var record struct {
			State string `json:"state"`
		}
		g.Expect(json.Unmarshal(entries[len(entries)-1].Record, &record)).To(Succeed())
		g.Expect(got.Status.FailureReason).To(Equal(record.State), "the newest entry describes another state")
	}
}

func TestNoMisuseOfADraftBreaksTheInvariant(t *testing.T) {
	namespace := env.Namespace(ctx, "misuse")
	rapid.Check(t, func(t *rapid.T) {
		f, obj := setupIn(NewWithT(t), namespace)
		m := &misuse{f: f, obj: obj, draft: f.writer.Draft(obj)}
		t.Repeat(map[string]func(*rapid.T){
			"draft": m.Draft, "save": m.Save, "save nothing": m.SaveNothing, "reserve": m.Reserve, "metadata": m.Metadata, "memory": m.Memory, "acknowledge": m.Acknowledge, "": m.Check,
		})
	})
}
