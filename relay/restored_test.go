package relay_test

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// lose removes the rows of a resource up to a sequence, as a restore of the database to an older state does.
func (f *fixture) lose(uid types.UID, upTo int64) {
	_, err := f.store.DB().ExecContext(ctx, `ALTER TABLE notification_audit DISABLE TRIGGER ALL; DELETE FROM notification_audit WHERE source_uid = ? AND sequence <= ?;
		ALTER TABLE notification_audit ENABLE ALWAYS TRIGGER append_only; ALTER TABLE notification_audit ENABLE ALWAYS TRIGGER append_only_row`, string(uid), upTo)
	f.Expect(err).NotTo(HaveOccurred())
}

func TestTheRelayNoticesWhatTheDatabaseHasLost(t *testing.T) {
	f := setup(t)
	_, stop := f.run(&hooks{}, quick)
	obj, whole := f.create("restored-older"), f.create("restored-whole")
	f.append(obj, 2, false)
	f.append(whole, 2, false)
	for _, o := range []types.UID{obj.UID, whole.UID} {
		f.Eventually(f.sequences(o)).Should(Equal([]int64{1, 2}))
	}
	f.Eventually(func() int { return len(f.live(obj).Status.Outbox.Entries) + len(f.live(whole).Status.Outbox.Entries) }).Should(BeZero())
	stop()
	f.lose(obj.UID, 2)

	h, before := &hooks{}, testenv.Counter("holdfast_relay_gaps_total")
	f.run(h, quick)
	f.append(f.live(obj), 2, false)
	f.append(f.live(whole), 2, false)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{3, 4}))
	f.Eventually(f.sequences(whole.UID)).Should(Equal([]int64{1, 2, 3, 4}))
	f.Expect(h.lost()).To(HaveLen(1), "once, and of one resource")
	f.Expect(h.lost()[0].Source.UID).To(Equal(obj.UID))
	f.Eventually(testenv.Counter).WithArguments("holdfast_relay_gaps_total").Should(Equal(before + 1))
}

// A database that comes back may be an older one. What is still in the resources is sent again, although the relay knew it to be durable.
func TestAfterAnOutageNothingIsTakenForDurableUnseen(t *testing.T) {
	f := setup(t)
	relayed, _ := f.run(&hooks{}, slow)
	obj := f.create("failed-over")
	f.append(obj, 2, false)
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2}))
	f.Eventually(func() int64 { return relayed.Watermark(obj.UID).Sequence }).Should(BeEquivalentTo(2))
	f.lose(obj.UID, 2)
	f.Expect(env.Postgres.Stop(ctx)).To(Succeed())
	f.append(f.live(obj), 1, false)
	f.Eventually(relayed.Healthy).Should(HaveOccurred())
	f.Expect(env.Postgres.Start(ctx)).To(Succeed())
	f.Eventually(f.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}))
}
