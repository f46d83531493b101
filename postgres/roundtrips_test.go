package postgres

import (
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// turns is a proxy before a database that counts how often the client spoke and then waited for an answer: round trips.
type turns struct {
	mu       sync.Mutex
	count    int
	answered bool // the server spoke last
}

func (c *turns) spoke(client bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if client && c.answered {
		c.count++
	}
	c.answered = !client
}

// since returns the round trips of f.
func (c *turns) since(f func()) int {
	read := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.count
	}
	before := read()
	f()
	return read() - before
}

func counted(t *testing.T, direct string) (*turns, string) {
	t.Helper()
	g := NewWithT(t)
	u, err := url.Parse(direct)
	g.Expect(err).NotTo(HaveOccurred())
	target := u.Host
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	u.Host = listener.Addr().String()
	c := &turns{}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	running.Add(1)
	go func() {
		defer running.Done()
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", target)
			if err != nil {
				_ = client.Close()
				continue
			}
			running.Add(2)
			go func() { defer running.Done(); c.pump(client, upstream, true) }()
			go func() { defer running.Done(); c.pump(upstream, client, false) }()
		}
	}()
	return c, u.String()
}

func (c *turns) pump(from, to net.Conn, client bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			c.spoke(client)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A round trip is what a transaction costs most, above all where the database is not next door: one opens it and inserts, one commits.
func TestATransactionTakesTwoRoundTrips(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe"} {
		t.Run(mode, func(t *testing.T) {
			g := NewWithT(t)
			c, through := counted(t, database(t))
			s := open(t, through+"&default_query_exec_mode="+mode)
			// Statements are described once a session.
			persist(t, s, everyKind(t, 2))
			_, err := s.Post(t.Context(), postings(t, 1))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(s.confirm(t.Context())).To(Succeed())
			_, _, err = s.PersistIn(t.Context(), nil)
			g.Expect(err).NotTo(HaveOccurred())

			one, every := notifications(t, 4), everyKind(t, 3)
			poison := notifications(t, 1)
			poison[0].Refused = "for the test"
			for name, trip := range map[string]struct {
				want int
				do   func() error
			}{
				"rows of one table":     {2, func() error { return stored(s.Persist(t.Context(), one)) }},
				"rows of every table":   {2, func() error { return stored(s.Persist(t.Context(), every)) }},
				"posted rows":           {2, func() error { return second(s.Post(t.Context(), postings(t, 3))) }},
				"nothing that is known": {2, func() error { return second(s.Persist(t.Context(), unsupported(t))) }},
				"which server it is":    {1, func() error { _, _, err := s.PersistIn(t.Context(), nil); return err }},
			} {
				g.Expect(c.since(func() { g.Expect(trip.do()).To(Succeed(), name) })).To(Equal(trip.want), name)
			}
			persist(t, s, one)
			persist(t, s, poison)
			g.Expect(c.since(func() { persist(t, s, one) })).To(BeNumerically("<=", 4), "what is there is looked up, and has a record of the log")
			g.Expect(c.since(func() { persist(t, s, poison) })).To(BeNumerically("<=", 8), "a dead letter")
			for _, table := range models.Tables() {
				g.Expect(count(t, s, table)).To(BeNumerically(">=", 5))
			}
		})
	}
}

type notStoredError []relay.Outcome

func (notStoredError) Error() string { return "not every entry was stored" }

func stored(outcomes []relay.Outcome, err error) error {
	for _, o := range outcomes {
		if o.Result != relay.Stored {
			return notStoredError(outcomes)
		}
	}
	return err
}

// unsupported is an entry of a later release.
func unsupported(t *testing.T) []relay.Item {
	t.Helper()
	one := notifications(t, 1)
	one[0].Entry.SchemaVersion = entry.SchemaVersion + 1
	return one
}

// Whoever may write a status can fill a batch with what no column takes. It must not take longer than good entries do: others wait for it, and longer looks like an outage.
func TestAFloodOfBadEntriesTakesTheRoundTripsOfTheirDeadLetters(t *testing.T) {
	g := NewWithT(t)
	c, through := counted(t, database(t))
	s := open(t, through)
	const n = 1000
	records := []string{
		`{"execution_started_at":"2026-11-23T04:05:06Z","remediation_id":"r","workflow_id":"` + strings.Repeat("x", 256) + `"}`,
		`{"execution_started_at":"2026-11-23T04:05:06Z","remediation_id":"r","total_steps":3000000000,"workflow_id":"w"}`,
		`{"execution_started_at":"2026-11-23T04:05:06Z","outcome":"\u0000","remediation_id":"r","workflow_id":"w"}`,
		`{"execution_started_at":"2026-11-23T04:05:06Z","remediation_id":"r","steps_executed":[{"name":"\u0000"}],"workflow_id":"w"}`,
	}
	var batch []relay.Item
	for range 4 {
		for _, item := range history(t, newSource(), entry.KindNotification, n/4, func(int) any { return notification() }) {
			batch = append(batch, forge(t, item, func(e *entry.Entry) { e.Kind, e.Record = entry.KindExecution, []byte(records[len(batch)%4]) }))
		}
	}
	persist(t, s, notifications(t, 1))
	all := sorted(slices.Concat(batch, notifications(t, 1)))
	var outcomes []relay.Outcome
	trips := c.since(func() { outcomes = persist(t, s, all) })
	t.Logf("%d bad rows in a batch of %d: %d round trips", n, n+1, trips)
	g.Expect(trips).To(BeNumerically("<=", 20))
	states := map[string]int{}
	for _, o := range outcomes {
		states[o.SQLState]++
	}
	g.Expect(states).To(Equal(map[string]int{"": 1, "22001": n / 4, "22003": n / 4, "22021": n / 4, "22P05": n / 4}))
	g.Expect(count(t, s, models.TableDeadLetter)).To(Equal(n))
}

// What only the database refuses takes some round trips for each bad row, not for each half of a half of them.
func TestAFloodOfEntriesThatTheDatabaseRefusesTakesFewRoundTrips(t *testing.T) {
	g := NewWithT(t)
	c, through := counted(t, database(t))
	s := open(t, through)
	execute(t, s, refuses)
	const n = 200
	batch := history(t, newSource(), entry.KindNotification, n, func(int) any {
		r := notification()
		r.DeliveryStatus = "refused"
		return r
	})
	good := notifications(t, 1)
	persist(t, s, good)
	all := sorted(slices.Concat(batch, notifications(t, 1)))
	var outcomes []relay.Outcome
	trips := c.since(func() { outcomes = persist(t, s, all) })
	g.Expect(outcomes).To(ContainElements(HaveField("Result", relay.Stored), HaveField("SQLState", "23514")))
	g.Expect(count(t, s, models.TableDeadLetter)).To(Equal(n))
	t.Logf("%d bad rows in a batch of %d: %d round trips", n, n+1, trips)
	g.Expect(trips).To(BeNumerically("<=", 4*n+200), "four for each, since the driver describes a statement again that has failed, and the halves until it was clear that there are many")
}
