package recovery

import (
	"fmt"
	"testing"

	"github.com/holdfast-dev/holdfast/outbox/outboxtest"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// docs/operations.md#etcd-was-restored: the same sequences come again with other content.
func TestEtcdWasRestored(t *testing.T) {
	f := setup(t)
	stop := f.manager()
	obj := f.create("cart")
	f.append(obj, 2, "Before", false)
	f.drained(obj)
	stop()
	snapshot := f.in("etcd")
	f.Expect(env.Cluster.SaveEtcd(ctx, snapshot)).To(Succeed())
	stop = f.manager()
	f.append(obj, 2, "First", false)
	f.drained(obj)
	later := f.create("later")
	f.append(later, 1, "First", false)
	f.drained(later)
	stop()

	f.Expect(env.Cluster.RestoreEtcd(ctx, snapshot)).To(Succeed())
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
	f.Expect(obj.Status.Outbox.LastSequence).To(BeEquivalentTo(2), "it is as it was")
	f.Expect(f.gone(later)()).To(BeTrue())
	at := func(sequence int) string {
		return fmt.Sprintf("%s/cart (%s) entry %d ", f.namespace, obj.UID, sequence)
	}
	verified := f.holdfast("verify")
	f.Expect(verified.Status).To(Equal(1))
	f.Expect(verified.Stdout).To(And(ContainSubstring("invented     "+at(4)), ContainSubstring("etcd was restored"), ContainSubstring("unfinished   "+f.namespace+"/later"), ContainSubstring("2 findings")))

	before := testenv.Counter("holdfast_relay_conflicts_total")
	stop = f.manager()
	f.append(obj, 3, "Second", true)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3, 4, 5}))
	f.drained(obj)
	stop()
	f.Expect(testenv.Counter("holdfast_relay_conflicts_total")).To(Equal(before + 2))
	rows, err := env.Rows(ctx, "notification_audit", obj.UID)
	f.Expect(err).NotTo(HaveOccurred())
	for i, event := range []string{"Before", "Before", "First", "First", "Second"} {
		f.Expect(rows[i]["event"]).To(Equal(event), "nothing was overwritten")
	}
	verified = f.holdfast("verify")
	f.Expect(verified.Stdout).To(And(ContainSubstring("forked       "+at(3)+"in audit_dead_letter"), ContainSubstring("forked       "+at(4)+"in audit_dead_letter"),
		ContainSubstring("3 findings"), ContainSubstring("2 dead letters")))
	id := outboxtest.Entries(f.t, obj.Status.Outbox)[0].ID
	shown := f.holdfast("dead-letter", "show", id)
	f.Expect(shown.Stdout).To(And(ContainSubstring(`"event": "Second"`), ContainSubstring("after a restore of etcd")))
	f.Expect(f.holdfast("dead-letter", "redrive", "--all").Status).To(Equal(1), "nor does redriving overwrite")
}

// docs/operations.md#the-database-was-restored-or-failed-over: rows are missing that the resources no longer hold.
func TestTheDatabaseWasRestored(t *testing.T) {
	f := setup(t)
	stop := f.manager()
	open, ended, whole := f.create("open"), f.create("ended"), f.create("whole")
	f.append(open, 2, "Before", false)
	f.append(ended, 1, "Before", false)
	f.append(whole, 1, "Before", false)
	f.drained(open)
	f.drained(ended)
	f.drained(whole)
	stop()
	yesterday := f.backUp()
	stop = f.manager()
	f.append(open, 2, "Lost", false)
	f.append(ended, 1, "Lost", true)
	f.drained(open)
	f.remove(ended)
	f.Eventually(f.gone(ended)).Should(BeTrue())
	stop()
	f.append(open, 1, "Held", false) // still in its resource
	f.restore(yesterday)

	verified := f.holdfast("verify")
	f.Expect(verified.Status).To(Equal(1))
	missing := "missing      " + f.namespace + "/open (" + string(open.UID) + ") entry 3: entries 3 to 4"
	f.Expect(verified.Stdout).To(And(ContainSubstring(missing+": the live resource shows them as persisted"), ContainSubstring("check whether the database was restored"),
		ContainSubstring("unfinished   "+f.namespace+"/ended"), ContainSubstring("2 findings")))

	before := testenv.Counter("holdfast_relay_gaps_total")
	stop = f.manager()
	f.Eventually(f.sequences(open.UID)).Should(Equal([]int64{1, 2, 5}))
	f.append(open, 1, "After", true)
	f.append(whole, 1, "After", true)
	f.drained(open)
	f.drained(whole)
	stop()
	f.Expect(testenv.Counter("holdfast_relay_gaps_total")).To(Equal(before+1), "once, and not of the one that is whole")
	f.Expect(f.holdfast("verify").Stdout).To(And(ContainSubstring(missing+": no row and no dead letter"), ContainSubstring("2 findings")))
}
