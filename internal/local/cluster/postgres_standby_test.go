//go:build unix

package cluster

import (
	"errors"
	"testing"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
)

func TestAStandbyFollowsAndIsPromoted(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	leaks := goleak.IgnoreCurrent()
	primary, err := StartPostgres(ctx, PostgresOptions{Progress: t.Output()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = primary.Close() })
	standby, err := primary.Standby(ctx, PostgresOptions{Progress: t.Output()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = standby.Close() })
	g.Expect(primary.WaitForStandbys(ctx)).To(Succeed())

	execSQL(ctx, t, primary.URL(), "CREATE TABLE kept (n int)")
	execSQL(ctx, t, primary.URL(), "INSERT INTO kept VALUES (7)")
	g.Expect(primary.CaughtUp(ctx, standby)).To(Succeed())
	g.Expect(ask(ctx, t, standby.URL(), "SELECT n::text FROM kept")).To(Equal("7"))
	g.Expect(ask(ctx, t, standby.URL(), "SHOW transaction_read_only")).To(Equal("on"))

	pooler, err := StartPooler(ctx, primary.URL())
	if errors.Is(err, ErrNoPooler) {
		t.Log("NOT TRIED: a pooler: ", err)
	} else {
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { g.Expect(pooler.Close()).To(Succeed()) })
	}

	g.Expect(primary.Crash(ctx)).To(Succeed())
	g.Expect(primary.Running()).To(BeFalse())
	g.Expect(standby.Promote(ctx)).To(Succeed())
	if pooler != nil {
		g.Expect(pooler.Lead(ctx, standby.URL())).To(Succeed())
		execSQL(ctx, t, pooler.URL(standby.URL())+"&default_query_exec_mode=exec", "INSERT INTO kept VALUES (9)")
		execSQL(ctx, t, standby.URL(), "DELETE FROM kept WHERE n = 9")
		g.Expect(pooler.Close()).To(Succeed())
	}
	execSQL(ctx, t, standby.URL(), "INSERT INTO kept VALUES (8)")
	g.Expect(standby.Configure(ctx, "default_transaction_read_only", "on")).To(Succeed())
	g.Expect(ask(ctx, t, standby.URL(), "SHOW transaction_read_only")).To(Equal("on"))
	g.Expect(standby.Configure(ctx, "default_transaction_read_only", "off")).To(Succeed())
	g.Expect(ask(ctx, t, standby.URL(), "SELECT count(*)::text FROM kept")).To(Equal("2"))

	g.Expect(primary.Start(ctx)).To(Succeed(), "a crash leaves the data")
	g.Expect(ask(ctx, t, primary.URL(), "SELECT n::text FROM kept")).To(Equal("7"))
	g.Expect(primary.Configure(ctx, "synchronous_standby_names", "")).To(Succeed())
	g.Expect(primary.Forget(ctx, standby)).To(Succeed())
	g.Expect(standby.Close()).To(Succeed())
	g.Expect(primary.Close()).To(Succeed())
	g.Expect(goleak.Find(leaks)).To(Succeed())
}

// Two standbys are behind in turns; the one that has more is promoted, the other one and the old primary follow it.
func TestServersRejoinWhatWasPromoted(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	primary, err := StartPostgres(ctx, PostgresOptions{Progress: t.Output(), Rewindable: true})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(primary.Close()).To(Succeed()) })
	standbys := make([]*Postgres, 2)
	for i := range standbys {
		standbys[i], err = primary.Standby(ctx, PostgresOptions{Progress: t.Output()})
		g.Expect(err).NotTo(HaveOccurred())
		t.Cleanup(func() { g.Expect(standbys[i].Close()).To(Succeed()) })
	}
	ahead, behind := standbys[0], standbys[1]
	g.Expect(primary.WaitForAny(ctx, ahead, behind)).To(Succeed())
	execSQL(ctx, t, primary.URL(), "CREATE TABLE kept (n int)")
	g.Expect(behind.Stop(ctx)).To(Succeed())
	execSQL(ctx, t, primary.URL(), "INSERT INTO kept VALUES (1)") // one of the two is enough
	g.Expect(ahead.Crash(ctx)).To(Succeed())
	g.Expect(primary.Crash(ctx)).To(Succeed())

	received := map[*Postgres]uint64{}
	for _, s := range standbys {
		g.Expect(s.Start(ctx)).To(Succeed())
		received[s], err = s.Received(ctx)
		g.Expect(err).NotTo(HaveOccurred())
	}
	g.Expect(received[ahead]).To(BeNumerically(">", received[behind]), "though both were restarted, and reach no primary")
	g.Expect(ahead.Promote(ctx)).To(Succeed())

	// The old primary has written something that nobody else has.
	g.Expect(primary.Start(ctx)).To(Succeed())
	g.Expect(primary.Configure(ctx, "synchronous_standby_names", "")).To(Succeed())
	execSQL(ctx, t, primary.URL(), "INSERT INTO kept VALUES (2)")
	g.Expect(primary.Crash(ctx)).To(Succeed())
	g.Expect(behind.Stop(ctx)).To(Succeed())
	for _, s := range []*Postgres{primary, behind} {
		g.Expect(s.Rejoin(ctx, ahead)).To(Succeed())
	}
	g.Expect(ahead.WaitForAny(ctx, primary, behind)).To(Succeed())
	execSQL(ctx, t, ahead.URL(), "INSERT INTO kept VALUES (3)")
	for _, s := range []*Postgres{primary, behind} {
		g.Expect(ahead.CaughtUp(ctx, s)).To(Succeed())
		g.Expect(ask(ctx, t, s.URL(), "SELECT string_agg(n::text, ' ' ORDER BY n) FROM kept")).To(Equal("1 3"))
	}
	g.Expect(ahead.Crash(ctx)).To(Succeed())
	g.Expect(primary.Promote(ctx)).To(Succeed())
	execSQL(ctx, t, primary.URL(), "INSERT INTO kept VALUES (4)")
}
