package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/relay"
)

// every runs a statement in all sessions of the pool, of which there are two then.
func every(t *testing.T, s *Store, statement string) {
	t.Helper()
	g := NewWithT(t)
	var all []*pgxpool.Conn
	for range 2 {
		c, err := s.pool.Acquire(t.Context())
		g.Expect(err).NotTo(HaveOccurred())
		_, err = c.Exec(t.Context(), statement)
		g.Expect(err).NotTo(HaveOccurred())
		all = append(all, c)
	}
	for _, c := range all {
		c.Release()
	}
}

// A failover may leave sessions open, at a server that has become a standby. New ones are writable: nothing waits until the old ones end.
func TestSessionsOfAServerThatTurnedReadOnlyAreClosed(t *testing.T) {
	const readOnly = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
	s := open(t, database(t))
	for name, write := range map[string]func() error{
		"persist": func() error { _, err := s.Persist(t.Context(), notifications(t, 1)); return err },
		"post":    func() error { _, err := s.Post(t.Context(), postings(t, 1)); return err },
		"check":   func() error { return s.Writable(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			every(t, s, readOnly)
			g.Expect(write()).To(Succeed(), "on a new session")
			g.Expect(write()).To(Succeed(), "and not on the other old one")
		})
	}
}

// What an administrator, or a restart, ends while it is idle is no outage.
func TestSessionsThatWereEndedWhileIdleAreReplaced(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s, admin := open(t, url), open(t, url)
	every(t, s, "SET application_name = 'idle'")
	execute(t, admin, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'idle'")
	g.Eventually(func() int { return count(t, admin, "pg_stat_activity WHERE application_name = 'idle'") }, patience).Should(BeZero())
	g.Expect(results(persist(t, s, notifications(t, 2)))).To(Equal(repeat(relay.Stored, 2)))
}

// A server that is read-only says so, and is taken again as soon as it is not.
func TestAReadOnlyServerIsNamedAsOne(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s, admin := open(t, url), open(t, url)
	setting := func(value string) {
		execute(t, admin, "ALTER DATABASE "+s.pool.Config().ConnConfig.Database+" SET default_transaction_read_only = "+value)
		s.pool.Reset()
	}
	setting("on")
	for _, err := range []error{s.Writable(t.Context()), second(s.Persist(t.Context(), notifications(t, 1))), second(s.Post(t.Context(), postings(t, 1)))} {
		g.Expect(err).To(MatchError(And(ContainSubstring("the server is read-only"), ContainSubstring("target_session_attrs=read-write"))))
		g.Expect(err).NotTo(MatchError(relay.ErrSchema))
	}
	setting("off")
	g.Expect(s.Writable(t.Context())).To(Succeed())
	persist(t, s, notifications(t, 1))
}

func second[T any](_ T, err error) error { return err }
