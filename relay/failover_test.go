package relay_test

import (
	"net/url"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// pair is a primary with an asynchronous standby, and a store that knows both.
type pair struct {
	*fixture
	primary, standby *localcluster.Postgres
}

func setupPair(t *testing.T) *pair {
	f := setup(t)
	p := &pair{fixture: f}
	var err error
	p.primary, err = localcluster.StartPostgres(ctx, localcluster.PostgresOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(p.primary.Close()).To(Succeed()) })
	f.Expect(migrations.Up(ctx, p.primary.URL(), nil)).To(Succeed())
	p.standby, err = p.primary.Standby(ctx, localcluster.PostgresOptions{})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(p.standby.Close()).To(Succeed()) })
	f.store.Close()
	f.store, err = postgres.Open(ctx, both(f, p.primary, p.standby), postgres.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	return p
}

func both(f *fixture, one, other *localcluster.Postgres) string {
	u, err := url.Parse(one.URL())
	f.Expect(err).NotTo(HaveOccurred())
	v, err := url.Parse(other.URL())
	f.Expect(err).NotTo(HaveOccurred())
	u.Host += "," + v.Host
	return u.String()
}

// failOver promotes the standby, which has nothing of what the primary wrote since it was left behind.
func (p *pair) failOver() {
	p.Expect(p.primary.Kill(ctx)).To(Succeed())
	p.Expect(p.standby.Start(ctx)).To(Succeed())
	p.Expect(p.standby.Promote(ctx)).To(Succeed())
}

func (p *pair) leaveBehind() { p.Expect(p.standby.Stop(ctx)).To(Succeed()) }

// identified hides nothing of the store: hooks would.
func (p *pair) runIdentified(c relay.Config) *relay.Relay {
	mgr, err := env.NewManager()
	p.Expect(err).NotTo(HaveOccurred())
	c.Recorder, err = testenv.Recorder(mgr, "holdfast-relay")
	p.Expect(err).NotTo(HaveOccurred())
	r, err := relay.Add(mgr, p.store, c, testenv.Kinds()...)
	p.Expect(err).NotTo(HaveOccurred())
	stop, err := testenv.Run(mgr)
	p.Expect(err).NotTo(HaveOccurred())
	p.t.Cleanup(func() { p.Expect(stop()).To(Succeed()) })
	return r
}

// Nothing is written, so nothing fails. What still is in the resource is there to be saved.
func TestAnIdleRelayNoticesAFailover(t *testing.T) {
	p := setupPair(t)
	r := p.runIdentified(slow)
	obj := p.create("idle")
	p.leaveBehind()
	p.append(obj, 3, false)
	p.Eventually(p.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}))
	p.Eventually(func() int64 { return r.Watermark(obj.UID).Sequence }).Should(BeEquivalentTo(3))
	p.failOver()
	p.Eventually(p.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3}), "sent again, though nothing was to be written")
	p.Eventually(r.Healthy).Should(Succeed())
}

// The watermark is from before the failover, and what happens next is a trim.
func TestNoTrimRestsOnADatabaseThatIsGone(t *testing.T) {
	p := setupPair(t)
	h, before := &hooks{}, testenv.Counter("holdfast_relay_gaps_total")
	_, stop := p.run(h, quick)
	obj := p.create("trimmed")
	p.leaveBehind()
	p.append(obj, 3, false)
	p.Eventually(func() int { return len(p.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	stop() // 1 to 3 are in the primary alone, and lost with it

	r := p.runIdentified(relay.Config{IdleTrimDelay: 5 * time.Second})
	p.append(p.live(obj), 1, false)
	p.Eventually(p.sequences(obj.UID)).Should(Equal([]int64{1, 2, 3, 4}))
	p.Eventually(func() int64 { return r.Watermark(obj.UID).Sequence }).Should(BeEquivalentTo(4))
	p.failOver()
	p.Eventually(func() int { return len(p.live(obj).Status.Outbox.Entries) }).Should(BeZero())
	p.Expect(p.sequences(obj.UID)()).To(Equal([]int64{4}), "it was sent again before it was trimmed")
	p.Eventually(testenv.Counter).WithArguments("holdfast_relay_gaps_total").Should(Equal(before + 1))
	p.Expect(r.Healthy()).To(Succeed())
}
