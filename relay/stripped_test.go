package relay_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var withoutFinalizers = client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":["example.com/other"]}}`))

// unguard takes away the policy that keeps the finalizer, as in a cluster that has none. The other tests get it back.
func (f *fixture) unguard() {
	f.Expect(env.WithoutFinalizerPolicy(ctx)).To(Succeed())
	f.t.Cleanup(func() { f.Expect(env.WithFinalizerPolicy(ctx)).To(Succeed()) })
}

func (f *fixture) finalizers(obj client.Object) func() []string {
	return func() []string { return f.live(obj).GetFinalizers() }
}

// restored are the notes of the Events that say that the relay put the finalizer back.
func (f *fixture) restored(obj client.Object) func() ([]string, error) {
	return testenv.Notes(ctx, env.Client, obj, "FinalizerRestored")
}

func TestAFinalizerThatWasTakenAwayIsPutBack(t *testing.T) {
	f := setup(t)
	f.unguard()
	h := &hooks{}
	f.run(h, slow)

	open := f.create("open")
	f.append(open, 2, false)
	f.Eventually(f.sequences(open.UID)).Should(HaveLen(2))
	f.Expect(env.Client.Patch(ctx, f.live(open), withoutFinalizers)).To(Succeed())
	f.Eventually(f.finalizers(open)).Should(ConsistOf("example.com/other", outbox.Finalizer), "drained, but not closed")
	f.Eventually(f.restored(open)).Should(ConsistOf(ContainSubstring("audit record was open")))

	// With it, a deletion waits for the end of the record.
	f.Expect(env.Client.Delete(ctx, open)).To(Succeed())
	f.append(f.live(open), 1, true)
	f.Eventually(f.finalizers(open)).Should(Equal([]string{"example.com/other"}))
	f.Expect(f.sequences(open.UID)()).To(Equal([]int64{1, 2, 3}))
	f.Expect(env.Vanish(ctx, open)).To(Succeed())

	// A closed record's finalizer is the relay's own to release.
	closed := f.create("closed")
	f.append(closed, 2, true)
	f.Eventually(f.finalizers(closed)).Should(BeEmpty())
	f.Eventually(func() int { return len(f.live(closed).Status.Outbox.Entries) }).Should(BeZero())
	f.Expect(f.restored(closed)()).To(BeEmpty())
}

// As by a process that died between the release and the trim.
func TestTheFinalizerOfAClosedRecordIsNotRestoredUnlessTheStoreIsAway(t *testing.T) {
	for name, away := range map[string]bool{"the store is there": false, "the store is away": true} {
		t.Run(name, func(t *testing.T) {
			f := setup(t)
			f.unguard()
			obj := f.create("released")
			f.append(obj, 2, true)
			f.Expect(env.Client.Patch(ctx, f.live(obj), withoutFinalizers)).To(Succeed())
			if away {
				f.Expect(env.Postgres.Stop(ctx)).To(Succeed())
			}
			f.run(&hooks{}, slow)
			if away {
				f.Eventually(f.finalizers(obj)).Should(ContainElement(outbox.Finalizer), "nobody knows whether its entries are durable")
				f.Eventually(f.restored(obj)).Should(ConsistOf(ContainSubstring("the audit store has not confirmed")))
				f.Expect(env.Postgres.Start(ctx)).To(Succeed())
			}
			f.Eventually(f.sequences(obj.GetUID())).Should(HaveLen(2))
			f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) }).Should(BeZero(), "it is trimmed")
			f.Eventually(f.finalizers(obj)).Should(Equal([]string{"example.com/other"}))
			if !away {
				f.Expect(f.restored(obj)()).To(BeEmpty())
			}
			f.Expect(env.Vanish(ctx, obj)).To(Succeed())
		})
	}
}
