package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// Somebody who may write the status appends a text that is no entry of the resource, hash and all, in the middle of its record. It becomes a dead letter that says why. Its
// neighbours become rows, and the resource goes.
func TestATextThatIsNoEntryOfTheResourceStopsNothing(t *testing.T) {
	f := setup(t)
	other := f.create("other")
	f.append(other, 2, false)
	foreign := f.live(other).Status.Outbox.Entries
	good := func(obj *v1alpha1.NotificationRequest, change func(*entry.Entry)) string {
		o := f.live(obj).Status.Outbox
		e := outboxtest.Entries(t, o)[0]
		e.ID, e.Sequence, e.PreviousHash = entry.ID(obj.UID, obj.CreationTimestamp.Time, 2), 2, o.HeadHash
		change(&e)
		text, err := e.Encode()
		f.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	same := func(*entry.Entry) {}
	cases := map[string]struct {
		text func(*v1alpha1.NotificationRequest) string
		says string
	}{
		"no-json":        {func(*v1alpha1.NotificationRequest) string { return "half an entry" }, "no JSON"},
		"foreign":        {func(*v1alpha1.NotificationRequest) string { return string(foreign[0]) }, "sequence is 1, expected 2, from its position in the outbox"},
		"foreign-second": {func(*v1alpha1.NotificationRequest) string { return string(foreign[1]) }, "of another resource"},
		"foreign-in-turn": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *entry.Entry) { e.Source.UID = other.UID })
		}, "of another resource"},
		"sequence": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *entry.Entry) { e.Sequence = 7 })
		}, "sequence is 7"},
		"id": {func(obj *v1alpha1.NotificationRequest) string { return good(obj, func(e *entry.Entry) { e.ID = "x" }) }, `id is "x"`},
		"unknown-member": {func(obj *v1alpha1.NotificationRequest) string {
			return strings.Replace(good(obj, same), `"id":`, `"hash":"","id":`, 1)
		}, `member "hash" is unknown`},
		"no-salt": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *entry.Entry) { e.Salt = "" })
		}, "salt is"},
		"salt-missing": {func(obj *v1alpha1.NotificationRequest) string {
			return strings.Replace(good(obj, same), `"salt":`, `"pepper":`, 1)
		}, "member salt is missing"},
		"record": {func(obj *v1alpha1.NotificationRequest) string {
			return strings.Replace(good(obj, same), `"record":{`, `"record":{ `, 1)
		}, "not in canonical form"},
		"version": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *entry.Entry) { e.SchemaVersion = -1 })
		}, "schemaVersion is -1, expected 1 to"},
		"bad-salt": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *entry.Entry) { e.Salt = "c2hvcnQ" })
		}, "salt is"},
		"quotes": {func(*v1alpha1.NotificationRequest) string { return strings.Repeat(`"`, 64<<10) }, "not an audit entry"},
		"object": {func(*v1alpha1.NotificationRequest) string { return `{"id":"x","sequence":2,"hash":"y","record":{}}` }, "missing"},
	}
	live := map[string]*v1alpha1.NotificationRequest{}
	for name, c := range cases {
		obj := f.create(name)
		f.append(obj, 1, false)
		bad := c.text(obj)
		f.edit(obj, func(o *outboxapi.Outbox) {
			o.SetEntries(append(o.Entries, outboxapi.Entry(bad)))
			o.LastSequence, o.HeadHash = 2, entry.Hash([]byte(bad))
		})
		f.append(f.live(obj), 1, true)
		f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
		live[name] = obj
	}
	f.run(&hooks{}, slow)
	for name, c := range cases {
		obj := live[name]
		f.Eventually(f.gone(obj)).Should(BeTrue(), name)
		f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 3}), name)
		var letters []string
		f.Expect(f.store.DB().NewRaw("SELECT error FROM audit_dead_letter WHERE source_uid = ? AND sequence = 2", string(obj.UID)).Scan(ctx, &letters)).To(Succeed())
		f.Expect(letters).To(ConsistOf(ContainSubstring(c.says)), name)
	}
}

// A CRD of a development version let entries be objects: what is in etcd must break no list.
func TestAnEntryThatIsAnObjectIsReadAsItsText(t *testing.T) {
	g := NewWithT(t)
	var list v1alpha1.NotificationRequestList
	g.Expect(json.Unmarshal([]byte(`{"items":[{"status":{"outbox":{"lastSequence":2,"entries":[{"id":"x"},7,null,"a text"]}}}]}`), &list)).To(Succeed())
	g.Expect(list.Items[0].Status.Outbox.Entries).To(Equal([]outboxapi.Entry{`{"id":"x"}`, "7", "", "a text"}))
}

// Whoever made the resource, or looks at it, learns of a dead letter from an Event on it: once, however often the entry is sent.
func TestADeadLetterMakesOneEventOnItsResource(t *testing.T) {
	f := setup(t)
	obj := f.create("poisoned")
	f.append(obj, 1, false)
	f.edit(obj, func(o *outboxapi.Outbox) {
		o.SetEntries(append(o.Entries, "half an entry"))
		o.LastSequence, o.HeadHash = 2, entry.Hash([]byte("half an entry"))
	})
	failing := true
	_, stop := f.run(&hooks{committed: func(context.Context) error { // the reply is lost, and all of it is sent again
		defer func() { failing = false }()
		if failing {
			return errors.New("the connection was lost")
		}
		return nil
	}}, slow)
	notes := testenv.Notes(ctx, env.Client, obj, "EntryDeadLettered")
	f.Eventually(notes).Should(ConsistOf(And(ContainSubstring("Audit entry 2 ("), ContainSubstring("no JSON"), ContainSubstring("holdfast dead-letter show "+entry.ID(obj.UID, obj.CreationTimestamp.Time, 2)))))
	f.append(f.live(obj), 1, false)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 3}))
	stop()
	f.Expect(notes()).To(HaveLen(1))
}
