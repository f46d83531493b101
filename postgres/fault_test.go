package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/toxics"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/holdfast-dev/holdfast/internal/dsn"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/relay"
)

// loseReply is a toxic on what the server answers: at the reply to COMMIT it closes the connection instead.
type loseReply struct{}

func (loseReply) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case chunk := <-stub.Input:
			if chunk == nil || bytes.Contains(chunk.Data, []byte("COMMIT\x00")) {
				stub.Close()
				return
			}
			stub.Output <- chunk
		}
	}
}

func init() { toxics.Register("lose_commit_reply", new(loseReply)) }

// proxied returns a proxy in front of the database, and the URL that leads through it.
func proxied(t *testing.T, direct string) (*toxiproxy.Proxy, string) {
	t.Helper()
	g := NewWithT(t)
	u, err := url.Parse(direct)
	g.Expect(err).NotTo(HaveOccurred())
	control := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(control, t.Name(), "127.0.0.1:0", u.Host)
	g.Expect(proxy.Start()).To(Succeed())
	t.Cleanup(proxy.Stop)
	u.Host = proxy.Listen
	return proxy, u.String()
}

func TestTheReplyToCommitIsLost(t *testing.T) {
	g := NewWithT(t)
	direct := database(t)
	proxy, through := proxied(t, direct)
	s, judge := open(t, through), open(t, direct)
	batch := everyKind(t, 3)
	// One that becomes a dead letter, too.
	poison := notifications(t, 1)[0]
	poison.Refused = "for the test"
	batch = sorted(append(batch, poison))

	_, err := proxy.Toxics.AddToxicJson(strings.NewReader(`{"name": "lost", "type": "lose_commit_reply", "stream": "downstream"}`))
	g.Expect(err).NotTo(HaveOccurred())
	_, err = s.Persist(t.Context(), batch)
	g.Expect(err).To(HaveOccurred())
	g.Expect(err).NotTo(MatchError(relay.ErrSchema))
	for _, table := range models.Tables() {
		g.Expect(count(t, judge, table)).To(Equal(3), "the commit itself has happened: %s", table)
	}

	g.Expect(proxy.Toxics.RemoveToxic(t.Context(), "lost")).To(Succeed())
	var outcomes []relay.Outcome
	g.Eventually(func() (err error) {
		outcomes, err = s.Persist(t.Context(), batch)
		return err
	}).WithTimeout(patience).Should(Succeed())
	for i, item := range batch {
		if item.Refused != "" {
			g.Expect(outcomes[i].Result).To(Equal(relay.DeadLettered))
		} else {
			g.Expect(outcomes[i].Result).To(Equal(relay.Present))
		}
	}
	g.Expect(letters(t, judge)).To(ConsistOf(HaveField("Attempts", BeNumerically(">=", 2))))
}

func TestTheServerGoesAwayAndComesBack(t *testing.T) {
	g := NewWithT(t)
	alone, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = alone.Close() })
	g.Expect(alone.Stop(t.Context())).To(Succeed())
	s := open(t, alone.URL()) // it does not need to be up
	batch := notifications(t, 5)
	_, err = s.Persist(t.Context(), batch)
	g.Expect(err).To(MatchError(ContainSubstring("check host and port in the database URL")))
	g.Expect(err).NotTo(MatchError(relay.ErrSchema))
	g.Expect(s.Ping(t.Context())).To(MatchError(ContainSubstring("reach the store")))

	g.Expect(alone.Start(t.Context())).To(Succeed())
	_, err = s.Persist(t.Context(), batch)
	g.Expect(err).To(MatchError(relay.ErrSchema))
	g.Expect(err).To(MatchError(ContainSubstring("`holdfast migrate up`")))
}

func TestASchemaThatDoesNotFitIsNobodysPoison(t *testing.T) {
	for name, c := range map[string]struct{ damage, says string }{
		"no table":                  {"DROP TABLE notification_audit", "`holdfast migrate up`"},
		"no dead letters":           {"DROP TABLE audit_dead_letter", "`holdfast migrate up`"},
		"no column":                 {"ALTER TABLE notification_audit DROP COLUMN subject", "`holdfast migrate up`"},
		"a column of another type":  {"ALTER TABLE notification_audit ALTER COLUMN channels TYPE timestamptz USING now()", "`holdfast migrate up`"},
		"a foreign column":          {"ALTER TABLE notification_audit ADD COLUMN foreign_key int NOT NULL", "refuses every row, even a known good one"},
		"a foreign constraint":      {"ALTER TABLE notification_audit ADD CHECK (schema_version > 9)", "look for constraints or triggers that are not part of the Holdfast schema"},
		"a column that is narrower": {"ALTER TABLE notification_audit ALTER COLUMN event TYPE varchar(3)", "refuses every row"},
		"a foreign trigger": {`CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END $$;
			CREATE TRIGGER no BEFORE INSERT ON notification_audit FOR EACH ROW EXECUTE FUNCTION no()`, "refuses every row"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := open(t, database(t))
			execute(t, s, c.damage)
			batch := append(notifications(t, 1), notifications(t, 2)...)
			dead := notifications(t, 1)[0]
			dead.Refused = "for the test"
			batch = sorted(append(batch, dead))
			_, err := s.Persist(t.Context(), batch)
			g.Expect(err).To(MatchError(relay.ErrSchema))
			g.Expect(err).To(MatchError(ContainSubstring(c.says)))
			if !strings.Contains(c.damage, "dead_letter") {
				g.Expect(letters(t, s)).To(BeEmpty())
			}
			for _, table := range models.Tables() {
				if !strings.Contains(c.damage, "DROP TABLE "+table) {
					g.Expect(count(t, s, table)).To(BeZero())
				}
			}
		})
	}
}

func TestLoginsThatCannotWrite(t *testing.T) {
	g := NewWithT(t)
	direct := database(t)
	admin := open(t, direct)
	execute(t, admin, "CREATE ROLE store_reader LOGIN PASSWORD 'sesame' IN ROLE holdfast_reader")
	execute(t, admin, "CREATE ROLE store_writer LOGIN PASSWORD 'sesame' IN ROLE holdfast_writer")
	u, err := url.Parse(direct)
	g.Expect(err).NotTo(HaveOccurred())
	as := func(user, password string) *Store {
		u.User = url.UserPassword(user, password)
		return open(t, u.String())
	}
	batch := notifications(t, 3)

	_, err = as("store_reader", "sesame").Persist(t.Context(), batch)
	g.Expect(err).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("make it a member of holdfast_writer"))))
	_, err = as("store_writer", "opensesame").Persist(t.Context(), batch)
	g.Expect(err).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("check user and password")), Not(MatchError(ContainSubstring("sesame")))))

	writer := as("store_writer", "sesame")
	g.Expect(results(persist(t, writer, batch))).To(Equal(repeat(relay.Stored, 3)))
	g.Expect(results(persist(t, writer, batch))).To(Equal(repeat(relay.Present, 3)))
	poison := notifications(t, 1)[0]
	poison.Refused = "for the test"
	for range 2 {
		g.Expect(results(persist(t, writer, []relay.Item{poison}))).To(Equal(repeat(relay.DeadLettered, 1)))
	}
	u.Path = "/nowhere"
	_, err = as("store_writer", "sesame").Persist(t.Context(), batch)
	g.Expect(err).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("create the database"))))
}

// A trigger that fails as a serialization failure would, for as long as a counter (which no rollback takes back) says.
func failing(t *testing.T, s *Store, code string, times int) {
	t.Helper()
	execute(t, s, fmt.Sprintf(`CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('tries') <= %d THEN RAISE EXCEPTION 'not now' USING ERRCODE = '%s'; END IF; RETURN NULL; END $$;
		CREATE TRIGGER fail BEFORE INSERT ON notification_audit FOR EACH STATEMENT EXECUTE FUNCTION fail()`, times, code))
}

func TestClass40StartsOverAtOnce(t *testing.T) {
	for _, code := range []string{"40001", "40P01"} {
		t.Run(code, func(t *testing.T) {
			g := NewWithT(t)
			s := open(t, database(t))
			failing(t, s, code, restarts)
			g.Expect(results(persist(t, s, notifications(t, 2)))).To(Equal(repeat(relay.Stored, 2)))
		})
		t.Run(code+" for too long", func(t *testing.T) {
			g := NewWithT(t)
			s := open(t, database(t))
			failing(t, s, code, restarts+1)
			batch := notifications(t, 2)
			_, err := s.Persist(t.Context(), batch)
			g.Expect(err).To(MatchError(ContainSubstring(code)))
			g.Expect(err).NotTo(MatchError(relay.ErrSchema))
			g.Expect(results(persist(t, s, batch))).To(Equal(repeat(relay.Stored, 2)))
		})
	}
}

func TestOtherErrorsAreTransient(t *testing.T) {
	for _, code := range []string{"53100", "57014", "25006", "P0001", "XX000"} {
		t.Run(code, func(t *testing.T) {
			g := NewWithT(t)
			s := open(t, database(t))
			failing(t, s, code, 1)
			batch := notifications(t, 2)
			_, err := s.Persist(t.Context(), batch)
			g.Expect(err).To(MatchError(ContainSubstring(code)))
			g.Expect(err).NotTo(MatchError(relay.ErrSchema))
			g.Expect(results(persist(t, s, batch))).To(Equal(repeat(relay.Stored, 2)))
			g.Expect(letters(t, s)).To(BeEmpty())
		})
	}
}

func TestAStatementThatHangs(t *testing.T) {
	g := NewWithT(t)
	direct := database(t)
	admin := open(t, direct)
	s, err := Open(t.Context(), direct, Options{StatementTimeout: 50 * time.Millisecond})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	lock, err := admin.db.BeginTx(t.Context(), nil)
	g.Expect(err).NotTo(HaveOccurred())
	_, err = lock.ExecContext(t.Context(), "LOCK TABLE notification_audit")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = s.Persist(t.Context(), notifications(t, 1))
	g.Expect(err).To(MatchError(ContainSubstring("statement timeout")))
	g.Expect(lock.Rollback()).To(Succeed())
}

func TestTheCommitIsSynchronous(t *testing.T) {
	for setting, want := range map[string]string{"off": "on", "local": "on", "remote_write": "on", "on": "on", "remote_apply": "remote_apply"} {
		t.Run(setting, func(t *testing.T) {
			g := NewWithT(t)
			direct := database(t)
			u, err := url.Parse(direct)
			g.Expect(err).NotTo(HaveOccurred())
			execute(t, open(t, direct), fmt.Sprintf(`ALTER DATABASE %s SET synchronous_commit = %s`, strings.Trim(u.Path, "/"), setting))
			s := open(t, direct)
			execute(t, s, `CREATE TABLE seen (setting text); CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
				CREATE TRIGGER see AFTER INSERT ON notification_audit FOR EACH STATEMENT EXECUTE FUNCTION see()`)
			persist(t, s, notifications(t, 1))
			var seen string
			g.Expect(s.db.QueryRowContext(t.Context(), "SELECT setting FROM seen").Scan(&seen)).To(Succeed())
			g.Expect(seen).To(Equal(want))
		})
	}
}

func TestOpen(t *testing.T) {
	g := NewWithT(t)
	_, err := Open(t.Context(), "postgres://me:sesame@host:port/db", Options{})
	g.Expect(err).To(And(MatchError(dsn.ErrInvalid), Not(MatchError(ContainSubstring("sesame")))))
	for _, o := range []Options{{PoolSize: -1}, {StatementTimeout: -1}, {Cluster: strings.Repeat("x", 256)}} {
		_, err := Open(t.Context(), server.URL(), o)
		g.Expect(err).To(MatchError(ContainSubstring("expected")))
	}
	canceled, cancel := context.WithCancel(t.Context())
	s, err := Open(canceled, server.URL(), Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	cancel()
	g.Expect(s.Ping(t.Context())).To(Succeed(), "the pool outlives the context of Open")
}

// What the server's own limits refuse is the entry's fault: waiting fixes nothing, and the entry would hold up everything behind it.
func TestRecordsThatNestTooDeepAreDeadLettered(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	execute(t, s, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET max_stack_depth = ''100kB''', current_database()); END $$`)
	shallow := open(t, s.pool.Config().ConnString()) // with connections of its own, which have the setting
	deep := history(t, newSource(), "backups.example.com", 1, func(int) any {
		return json.RawMessage(`{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`)
	})
	outcomes := persist(t, shallow, sorted(append(deep, notifications(t, 1)...)))
	g.Expect(results(outcomes)).To(ConsistOf(relay.DeadLettered, relay.Stored))
	g.Expect(letters(t, s)).To(HaveExactElements(HaveField("SQLState", "54001")))
}
