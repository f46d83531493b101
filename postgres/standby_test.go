package postgres

import (
	"context"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/relay"
)

// pair is a primary whose COMMITs wait for its standby, with a login may_write that may do what a relay's may.
type pair struct {
	*testing.T
	primary, standby *localcluster.Postgres
}

func newPair(t *testing.T) *pair {
	t.Helper()
	g := NewWithT(t)
	p := &pair{T: t}
	var err error
	p.primary, err = localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(p.primary.Close()).To(Succeed()) })
	g.Expect(migrations.Up(t.Context(), p.primary.URL(), nil)).To(Succeed())
	c := p.superuser(p.primary)
	_, err = c.Exec(t.Context(), "CREATE ROLE may_write LOGIN PASSWORD 'secret' IN ROLE holdfast_writer")
	g.Expect(err).NotTo(HaveOccurred())
	p.standby, err = p.primary.Standby(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(p.standby.Close()).To(Succeed()) })
	g.Expect(p.primary.WaitForStandbys(t.Context())).To(Succeed())
	return p
}

func (p *pair) superuser(of *localcluster.Postgres) *pgx.Conn {
	p.Helper()
	c, err := pgx.Connect(p.Context(), of.URL())
	NewWithT(p).Expect(err).NotTo(HaveOccurred())
	p.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// store of the login.
func (p *pair) store(of *localcluster.Postgres) *Store {
	p.Helper()
	u, err := url.Parse(of.URL())
	NewWithT(p).Expect(err).NotTo(HaveOccurred())
	u.User = url.UserPassword("may_write", "secret")
	return open(p.T, u.String())
}

// waiting are the sessions whose COMMIT waits for the standby.
func (p *pair) waiting(c *pgx.Conn) []int32 {
	rows, err := c.Query(p.Context(), "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	NewWithT(p).Expect(err).NotTo(HaveOccurred())
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	NewWithT(p).Expect(err).NotTo(HaveOccurred())
	return pids
}

// givenUp runs what must wait at COMMIT, and ends the wait there.
func (p *pair) givenUp(c *pgx.Conn, end func(cancel context.CancelFunc, pid int32), write func(context.Context) error) {
	p.Helper()
	g := NewWithT(p)
	ctx, cancel := context.WithTimeout(p.Context(), patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- write(ctx) }()
	g.Eventually(func() []int32 { return p.waiting(c) }, patience).Should(HaveLen(1), "COMMIT waits for the standby")
	g.Expect(done).NotTo(Receive())
	end(cancel, p.waiting(c)[0])
	var err error
	g.Eventually(done, patience).Should(Receive(&err))
	g.Expect(err).To(HaveOccurred(), "nobody acknowledged it")
	g.Eventually(func() []int32 { return p.waiting(c) }, patience).Should(BeEmpty())
}

// Whatever was in the way of a COMMIT, whose outcome rests on rows that are only visible: a retry waits as long as the first try has to, and what was acknowledged survives the primary.
func TestWhatOthersWroteIsAcknowledgedOnlyOnceItIsReplicated(t *testing.T) {
	g := NewWithT(t)
	p := newPair(t)
	s, admin := p.store(p.primary), p.superuser(p.primary)

	entries := notifications(t, 4)
	fork := forked(t, entries[0])
	dead := notifications(t, 1)
	dead[0].Refused = "its hash does not agree"
	redriven := notifications(t, 1)
	redriven[0].Refused = "its hash does not agree"
	persist(t, s, redriven)
	posted := postings(t, 2)
	other := posting(t, posted[0].Head().ID, "another")
	letter := letters(t, s)[0]

	g.Expect(p.standby.Stop(t.Context())).To(Succeed())
	clientGivesUp := func(cancel context.CancelFunc, _ int32) { cancel() }
	serverGivesUp := func(_ context.CancelFunc, pid int32) {
		_, err := admin.Exec(t.Context(), "SELECT pg_cancel_backend($1)", pid)
		g.Expect(err).NotTo(HaveOccurred())
	}
	serverEnds := func(_ context.CancelFunc, pid int32) {
		_, err := admin.Exec(t.Context(), "SELECT pg_terminate_backend($1)", pid)
		g.Expect(err).NotTo(HaveOccurred())
	}
	persisting := func(items []relay.Item) func(context.Context) error {
		return func(ctx context.Context) error { _, err := s.Persist(ctx, items); return err }
	}
	post := func(rows []models.Row) func(context.Context) error {
		return func(ctx context.Context) error { _, err := s.Post(ctx, rows); return err }
	}
	redriving := func(ctx context.Context) error { _, err := s.Redrive(ctx, letter, false); return err }
	for _, c := range []struct {
		name  string
		write func(context.Context) error
	}{
		{"new rows", persisting(entries)}, {"a row that is there", persisting(entries[:1])}, {"rows that are there", persisting(entries)},
		{"a conflict", persisting([]relay.Item{fork})}, {"the same conflict", persisting([]relay.Item{fork})},
		{"a dead letter", persisting(dead)}, {"the same dead letter", persisting(dead)},
		{"posted", post(posted)}, {"posted before", post(posted)}, {"posted before, one of them", post(posted[1:])}, {"posted under an id that is taken", post([]models.Row{other})},
		{"redriven", redriving}, {"redriven before", redriving},
	} {
		for _, given := range []struct {
			up  string
			end func(context.CancelFunc, int32)
		}{{"by the client", clientGivesUp}, {"by the server", serverGivesUp}, {"with the session", serverEnds}} {
			t.Run(c.name+", given up "+given.up, func(t *testing.T) {
				p := &pair{T: t, primary: p.primary, standby: p.standby}
				p.givenUp(admin, given.end, c.write)
			})
		}
	}

	t.Run("an immediate stop during the wait", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(p.primary.Kill(t.Context())).To(Succeed())
		g.Expect(p.primary.Start(t.Context())).To(Succeed())
		admin = p.superuser(p.primary)
		p := &pair{T: t, primary: p.primary, standby: p.standby}
		p.givenUp(admin, clientGivesUp, persisting(entries))
	})

	t.Run("what is acknowledged survives", func(t *testing.T) {
		g := NewWithT(t)
		g.Expect(p.standby.Start(t.Context())).To(Succeed())
		g.Eventually(func() error { _, err := s.Persist(t.Context(), entries[1:]); return err }, patience).Should(Succeed())
		_, before, err := s.PersistIn(t.Context(), nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(before).NotTo(BeEmpty())
		_, again, err := s.PersistIn(t.Context(), entries[1:])
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(again).To(Equal(before), "the same database")
		g.Expect(p.store(p.standby).Writable(t.Context())).To(MatchError(And(ContainSubstring("read-only"), ContainSubstring("target_session_attrs"))))
		g.Expect(p.primary.Kill(t.Context())).To(Succeed())
		g.Expect(p.standby.Promote(t.Context())).To(Succeed())
		after := p.store(p.standby)
		_, promoted, err := after.PersistIn(t.Context(), nil)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(promoted).NotTo(Equal(before), "another database")
		g.Expect(results(persist(t, after, entries[1:]))).To(Equal(repeat(relay.Present, 3)))
	})
}

// forked is another entry in the place of one.
func forked(t *testing.T, of relay.Item) relay.Item {
	t.Helper()
	other := history(t, of.Source, of.Entry.Kind, 9, func(int) any { n := notification(); n.Subject = "another"; return n })
	for _, item := range other {
		if item.ID == of.ID {
			return item
		}
	}
	t.Fatalf("no entry has the id %s", of.ID)
	return relay.Item{}
}
