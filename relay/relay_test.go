package relay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
	"github.com/holdfast-dev/holdfast/relay"
)

// quick trims as soon as a record is drained; slow never does by quiet.
var (
	quick = relay.Config{IdleTrimDelay: time.Millisecond}
	slow  = relay.Config{IdleTrimDelay: time.Hour, DrainTimeout: time.Millisecond}
)

func TestEntriesBecomeRowsAndAreTrimmedWhenIdle(t *testing.T) {
	f, h := setup(t), &hooks{}
	f.run(h, quick)
	obj := f.create("quiet")
	f.append(obj, 3, false)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}))
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	o := f.live(obj).Status.Outbox
	f.Expect(o.Entries).To(BeEmpty())
	f.Expect(o.PersistedSequence).To(BeEquivalentTo(3))
	f.Expect(o.PersistedTime).NotTo(BeNil())
	f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer), "an open record keeps its finalizer")
}

func TestAClosedRecordCostsTwoWritesHoweverManyEntries(t *testing.T) {
	left := setup(t) // by a test before
	left.append(left.create("left"), 1, true)
	f, h := setup(t), &hooks{}
	f.run(h, slow)
	obj := f.create("closed")
	f.append(obj, 20, true)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	f.Expect(f.sequences(obj.UID)()).To(HaveLen(20))
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	f.Expect(h.count("trim")).To(Equal(1))
	f.Expect(h.count("release")).To(Equal(1))
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj)).Should(BeTrue())
}

func TestAClosedRecordThatIsDeletedAtOnceCostsOneWrite(t *testing.T) {
	f, h := setup(t), &hooks{}
	standing := slow
	standing.Clock = testingclock.NewFakeClock(time.Now()) // so that "at once" does not depend on the machine
	f.run(h, standing)
	obj := f.create("ended")
	f.append(obj, 20, true)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(HaveLen(20))
	f.Expect(h.count("trim")).To(BeZero())
	f.Expect(h.count("release")).To(Equal(1))
}

func TestDeletionWaitsForTheDatabase(t *testing.T) {
	f := setup(t)
	relayed, _ := f.run(&hooks{}, slow)
	f.Expect(env.Postgres.Stop(ctx)).To(Succeed())
	obj := f.create("held")
	f.append(obj, 2, true)
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.Eventually(relayed.Healthy).Should(HaveOccurred(), "the breaker says why")
	f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(f.live(obj).Status.Outbox.Entries).To(HaveLen(2))

	f.Expect(env.Postgres.Start(ctx)).To(Succeed())
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2}))
	f.Expect(relayed.Healthy()).To(Succeed())
}

// A process that dies is one whose next step never comes: the hook keeps it from going on, and a second relay takes over with empty memory.
func TestCrashAfterTheStatusWrite(t *testing.T) {
	f := setup(t)
	obj := f.create("unseen")
	f.append(obj, 2, true)
	f.run(&hooks{}, slow)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2}))
}

func TestCrashAfterCommitBeforeTrim(t *testing.T) {
	f := setup(t)
	died := make(chan struct{}, 100)
	_, stop := f.run(&hooks{committed: func(ctx context.Context) error { died <- struct{}{}; return errors.New("died after COMMIT") }}, slow)
	obj := f.create("committed")
	f.append(obj, 3, true)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}))
	<-died
	stop()
	f.Expect(f.live(obj).Status.Outbox.Entries).To(HaveLen(3), "nothing was acknowledged")

	f.run(&hooks{}, slow)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2, 3}), "inserting again changed nothing")
	f.Expect(f.deadLetters(obj.UID)()).To(BeEmpty())
}

func TestCrashAfterTrimBeforeRelease(t *testing.T) {
	f := setup(t)
	h := &hooks{patched: func(op string) error {
		if op == "release" {
			return errors.New("died before the release")
		}
		return nil
	}}
	_, stop := f.run(h, slow)
	obj := f.create("trimmed")
	f.append(obj, 2, true)
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	stop()
	f.Expect(f.live(obj).Finalizers).To(ContainElement(outbox.Finalizer))
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())

	f.run(&hooks{}, slow)
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2}))
}

func TestCrashAfterReleaseBeforeTrim(t *testing.T) {
	f := setup(t)
	_, stop := f.run(&hooks{patched: func(op string) error {
		if op == "trim" {
			return errors.New("died before the trim")
		}
		return nil
	}}, slow)
	obj := f.create("released")
	f.append(obj, 2, true)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	stop()
	f.Expect(f.live(obj).Status.Outbox.Entries).To(HaveLen(2))

	f.run(&hooks{}, slow)
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2}))
	f.Expect(f.deadLetters(obj.UID)()).To(BeEmpty())
}

func TestLostReplyToCommit(t *testing.T) {
	f := setup(t)
	lost := 2
	f.run(&hooks{committed: func(context.Context) error {
		if lost--; lost >= 0 {
			return errors.New("connection reset after COMMIT")
		}
		return nil
	}}, slow)
	obj := f.create("lost")
	f.append(obj, 3, true)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2, 3}))
}

func TestTwoRelaysAtOnce(t *testing.T) {
	f := setup(t)
	f.run(&hooks{}, quick)
	f.run(&hooks{}, quick)
	var names []string
	for i := range 10 {
		obj := f.create(fmt.Sprintf("n%d", i))
		f.append(obj, 4, true)
		f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
		f.Eventually(f.gone(obj)).Should(BeTrue())
		f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2, 3, 4}))
		f.Expect(f.deadLetters(obj.UID)()).To(BeEmpty())
		names = append(names, obj.Name)
	}
	f.Expect(names).To(HaveLen(10))
}

func TestStrippedFinalizerLosesNothingWhileARelayRuns(t *testing.T) {
	f := setup(t)
	f.Expect(env.Postgres.Stop(ctx)).To(Succeed())
	relayed, _ := f.run(&hooks{}, slow)
	obj := f.create("stripped")
	f.append(obj, 3, false)
	f.Eventually(relayed.Healthy).Should(HaveOccurred(), "the relay has generation the entries")
	f.Expect(env.Vanish(ctx, obj)).To(Succeed())
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Expect(env.Postgres.Start(ctx)).To(Succeed())
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}))
}

// edit changes the outbox behind everybody's back, as somebody with kubectl would.
func (f *fixture) edit(obj client.Object, change func(*outboxapi.Outbox)) {
	got := f.live(obj)
	change(got.Status.Outbox)
	f.Expect(env.Client.Status().Update(ctx, got)).To(Succeed())
}

func TestTamperedEntryBecomesADeadLetterAndBlocksNothing(t *testing.T) {
	f := setup(t)
	obj := f.create("tampered")
	f.append(obj, 2, false)
	f.edit(obj, func(o *outboxapi.Outbox) {
		o.Entries[0] = outboxapi.Entry(strings.Replace(string(o.Entries[0]), `"remediation_id":"`, `"remediation_id":"somebody else's `, 1))
	})
	f.append(f.live(obj), 1, true)
	f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	f.run(&hooks{}, slow)
	f.Eventually(f.gone(obj)).Should(BeTrue())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{2, 3}))
	f.Expect(f.deadLetters(obj.UID)()).To(ConsistOf(ContainSubstring("which the chain has")))
}

func TestPoisonInAnyPlaceBlocksNothing(t *testing.T) {
	f := setup(t)
	for place := range 3 {
		obj := f.create(fmt.Sprintf("poison%d", place))
		for i := range 3 {
			record := map[string]any{"remediation_id": string(obj.UID), "notification_requested_at": obj.CreationTimestamp.Time}
			if i == place {
				record["notification_requested_at"] = "yesterday"
			}
			c := &entry.Change{Kind: entry.KindNotification, Event: "Attempted", Phase: "Sending", Final: i == 2, Record: record}
			f.Expect(f.writer.Draft(obj).Save(ctx, c)).To(Succeed())
		}
		f.Expect(env.Client.Delete(ctx, obj)).To(Succeed())
	}
	f.run(&hooks{}, slow)
	for place := range 3 {
		obj := f.create(fmt.Sprintf("after%d", place))
		f.append(obj, 1, true)
		f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
	}
	f.Eventually(func() int {
		var n int
		f.Expect(f.store.DB().NewRaw("SELECT count(*) FROM audit_dead_letter WHERE entry LIKE ?", "%"+f.namespace+"%").Scan(ctx, &n)).To(Succeed())
		return n
	}).Should(Equal(3))
}

func TestAnotherHistoryIsNeverOverwritten(t *testing.T) {
	f := setup(t)
	_, stop := f.run(&hooks{}, slow)
	obj := f.create("restored")
	f.append(obj, 1, false)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
	stop()
	// A restored etcd gives out sequence 1 again, with other content.
	f.edit(obj, func(o *outboxapi.Outbox) {
		var again *outboxapi.Outbox
		for range 2 { // with the sequence that is there already the API server would refuse it
			next, _, err := entry.Append(again, entry.SourceOf(obj), entry.Change{Kind: entry.KindNotification, Event: "Otherwise", Phase: "Sending", Record: map[string]any{
				"remediation_id": "r", "notification_requested_at": obj.CreationTimestamp.Time}}, time.Now(), entry.Salt{}, entry.DefaultLimits())
			f.Expect(err).NotTo(HaveOccurred())
			again = next
		}
		*o = *again
	})
	f.append(f.live(obj), 1, true)
	f.run(&hooks{}, slow)
	f.Eventually(func() []string { return f.live(obj).Finalizers }).Should(BeEmpty())
	f.Expect(f.sequences(obj.UID)()).To(Equal([]int64{1, 2, 3}))
	f.Expect(f.deadLetters(obj.UID)()).To(HaveLen(1))
	var event string
	f.Expect(f.store.DB().NewRaw("SELECT event FROM notification_audit WHERE source_uid = ? AND sequence = 1", string(obj.UID)).Scan(ctx, &event)).To(Succeed())
	f.Expect(event).To(Equal("Attempted"), "the first row is as it was")
}

func TestUnknownSchemaVersionStaysPending(t *testing.T) {
	f := setup(t)
	obj := f.create("future")
	f.append(obj, 1, false)
	f.edit(obj, func(o *outboxapi.Outbox) { // as a newer release would have written it
		e := outboxtest.Entries(t, o)[0]
		e.ID, e.Sequence, e.PreviousHash, e.SchemaVersion = entry.ID(obj.UID, obj.CreationTimestamp.Time, 2), 2, o.HeadHash, 99
		text, err := e.Encode()
		f.Expect(err).NotTo(HaveOccurred())
		o.SetEntries(append(o.Entries, outboxapi.Entry(text)))
		o.LastSequence, o.HeadHash = 2, entry.Hash(text)
	})
	f.run(&hooks{}, quick)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1}))
	other := f.create("present")
	f.append(other, 1, true)
	f.Eventually(f.sequences(other.UID)).Should(Equal([]int64{1}), "others go on")
	f.Expect(f.deadLetters(obj.UID)()).To(BeEmpty())
	f.Expect(f.live(obj).Status.Outbox.Entries).NotTo(BeEmpty())
}

func TestAboveTheSoftLimitTheRelayTrimsAtOnce(t *testing.T) {
	f, h := setup(t), &hooks{}
	config := slow
	config.Limits = entry.DefaultLimits()
	config.Limits.SoftBytes = 1
	f.run(h, config)
	obj := f.create("soft")
	f.append(obj, 1, false)
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	f.Expect(h.count("trim")).To(BeNumerically(">=", 1))
}

func TestTheFlusherCommitsInGroups(t *testing.T) {
	f := setup(t)
	release := make(chan struct{})
	h := &hooks{committed: func(ctx context.Context) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}}
	f.run(h, slow)
	first := f.create("first")
	f.append(first, 1, false)
	f.Eventually(f.sequences(first.UID)).Should(HaveLen(1))
	for i := range 5 {
		f.append(f.create(fmt.Sprintf("n%d", i)), 1, false)
	}
	var total int
	count := func() int {
		f.Expect(f.store.DB().NewRaw("SELECT count(*) FROM notification_audit WHERE source_namespace = ?", f.namespace).Scan(ctx, &total)).To(Succeed())
		return total
	}
	f.Expect(count()).To(Equal(1), "one transaction at a time")
	close(release)
	f.Eventually(count).Should(Equal(6))
}

func TestReadBackEqualsWhatWasAppended(t *testing.T) {
	f := setup(t)
	f.run(&hooks{}, slow)
	obj := f.create("same")
	hostile := "NUL \x00, invalid \xff, \\u0000, ?0, 😀, \u2028, ' \" \\"
	record := map[string]any{"remediation_id": "r", "notification_requested_at": obj.CreationTimestamp.Time, "subject": hostile,
		"delivery_attempts": []map[string]any{{"channel": "slack", "attempt": 1, "status": "failed", "duration": 250, "error": hostile}}}
	f.Expect(f.writer.Draft(obj).Save(ctx, &entry.Change{Kind: entry.KindNotification, Event: "Attempted", Phase: "Sending", Record: record})).To(Succeed())
	appended := f.live(obj).Status.Outbox
	f.Eventually(f.sequences(obj.UID)).Should(HaveLen(1))
	var text, subject, fault string
	f.Expect(f.store.DB().NewRaw("SELECT entry, subject, delivery_attempts->0->>'error' FROM notification_audit WHERE id = ?", entry.ID(obj.UID, obj.CreationTimestamp.Time, 1)).Scan(ctx, &text, &subject, &fault)).To(Succeed())
	f.Expect(entry.Hash([]byte(text))).To(Equal(appended.HeadHash))
	read, err := entry.Decode([]byte(text))
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(read.Source.UID).To(Equal(obj.UID))
	var back map[string]any
	f.Expect(json.Unmarshal(read.Record, &back)).To(Succeed())
	f.Expect(back["subject"]).To(Equal(subject))
	f.Expect(subject).To(Equal("NUL \uFFFD, invalid \uFFFD, \\u0000, ?0, 😀, \u2028, ' \" \\"))
	f.Expect(fault).To(Equal(subject))
}
