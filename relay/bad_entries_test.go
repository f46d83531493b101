package relay_test

import (
	"encoding/json"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// Somebody who may write the status appends a text that is no entry of the resource, hash and all, in the middle of its record. It becomes a dead letter that says why. Its
// neighbours become rows, and the resource goes.
func TestATextThatIsNoEntryOfTheResourceStopsNothing(t *testing.T) {
	f := setup(t)
	other := f.create("other")
	f.append(other, 1, false)
	foreign := string(f.live(other).Status.Outbox.Entries[0])
	good := func(obj *v1alpha1.NotificationRequest, change func(*outbox.Entry)) string {
		o := f.live(obj).Status.Outbox
		e := outboxtest.Entries(t, o)[0]
		e.ID, e.Sequence, e.PreviousHash = outbox.ID(obj.UID, obj.CreationTimestamp.Time, 2), 2, o.HeadHash
		change(&e)
		text, err := e.Encode()
		f.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}
	same := func(*outbox.Entry) {}
	cases := map[string]struct {
		text func(*v1alpha1.NotificationRequest) string
		says string
	}{
		"no-json": {func(*v1alpha1.NotificationRequest) string { return "half an entry" }, "no JSON"},
		"foreign": {func(*v1alpha1.NotificationRequest) string { return foreign }, "sequence is 1, expected 2, from its position in the outbox"},
		"foreign-in-turn": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *outbox.Entry) { e.Source.UID = other.UID })
		}, "of another resource"},
		"sequence": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *outbox.Entry) { e.Sequence = 7 })
		}, "sequence is 7"},
		"id": {func(obj *v1alpha1.NotificationRequest) string { return good(obj, func(e *outbox.Entry) { e.ID = "x" }) }, `id is "x"`},
		"unknown-member": {func(obj *v1alpha1.NotificationRequest) string {
			return strings.Replace(good(obj, same), `"id":`, `"hash":"","id":`, 1)
		}, `member "hash" is unknown`},
		"no-salt": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *outbox.Entry) { e.Salt = "" })
		}, "salt is"},
		"bad-salt": {func(obj *v1alpha1.NotificationRequest) string {
			return good(obj, func(e *outbox.Entry) { e.Salt = "c2hvcnQ" })
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
			o.LastSequence, o.HeadHash = 2, outbox.Hash([]byte(bad))
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
