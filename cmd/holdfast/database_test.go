package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"
	apitypes "k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// answer is what a command did.
type answer struct {
	Status         int
	Stdout, Stderr string
}

// holdfast runs the command with the variables of the test alone.
func holdfast(t *testing.T, args ...string) answer {
	t.Helper()
	return holdfastIn(t.Context(), t, args...)
}

func holdfastIn(ctx context.Context, t *testing.T, args ...string) answer {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := run(ctx, args, &stdout, &stderr)
	NewWithT(t).Expect(stdout.String()+stderr.String()).NotTo(ContainSubstring("sesame"), "a password")
	return answer{Status: status, Stdout: stdout.String(), Stderr: stderr.String()}
}

var databases atomic.Int32

// database sets the variables to a database of the test's own, without tables, and no cluster.
func database(t *testing.T) string {
	t.Helper()
	u, err := env.Postgres.CreateDatabase(t.Context(), fmt.Sprintf("command_%d", databases.Add(1)))
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "HOLDFAST_") || name == "KUBECONFIG" {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOLDFAST_DATABASE_URL", u)
	return u
}

func migrated(t *testing.T) *postgres.Store {
	t.Helper()
	u := database(t)
	NewWithT(t).Expect(holdfast(t, "migrate", "up").Status).To(BeZero())
	s, err := postgres.Open(t.Context(), u, postgres.Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	t.Cleanup(s.Close)
	return s
}

func execute(t *testing.T, s *postgres.Store, statement string) {
	t.Helper()
	_, err := s.DB().ExecContext(t.Context(), statement)
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), statement)
}

// trail persists one record of n entries, refusing some.
func trail(t *testing.T, s *postgres.Store, n int, refused ...int) []relay.Item {
	t.Helper()
	g := NewWithT(t)
	at := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	source := entry.Source{Namespace: "shop", Name: "cart", UID: apitypes.UID(uuid.NewString()), Created: at}
	var o *outboxapi.Outbox
	for i := range n {
		next, _, err := entry.Append(o, source, entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Final: i == n-1,
			Record: models.Notification{RemediationID: "r", NotificationRequestedAt: outboxapi.NewTime(at), Subject: "cart"}}, at, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		o = next
	}
	items := relay.NewItems(source, "NotificationRequest", entry.PendingOf(source.UID, o))
	for _, n := range refused {
		items[n-1].Refused = "for the \x1b[31mtest"
	}
	sent := slices.SortedFunc(slices.Values(items), relay.ByID)
	_, err := s.Persist(t.Context(), sent)
	g.Expect(err).NotTo(HaveOccurred())
	return items
}

func has(status int, stdout, stderr types.GomegaMatcher) types.GomegaMatcher {
	return And(HaveField("Status", status), HaveField("Stdout", stdout), HaveField("Stderr", stderr))
}

func TestMigrate(t *testing.T) {
	g := NewWithT(t)
	database(t)
	g.Expect(holdfast(t, "migrate", "status")).To(has(0, And(MatchRegexp(`1 +pending +- +00001_tables.sql`), ContainSubstring("Run `holdfast migrate up`.")), BeEmpty()))
	g.Expect(holdfast(t, "verify")).To(has(2, BeEmpty(), And(ContainSubstring("the audit tables are missing"), ContainSubstring("run `holdfast migrate up`"))))
	g.Expect(holdfast(t, "dead-letter", "list")).To(has(2, BeEmpty(), ContainSubstring("run `holdfast migrate up`")))

	up := holdfast(t, "migrate", "up", "-o", "json")
	g.Expect(up).To(has(0, ContainSubstring(`"state": "applied"`), ContainSubstring("applied 00001_tables.sql")))
	var all []map[string]any
	g.Expect(json.Unmarshal([]byte(up.Stdout), &all)).To(Succeed())
	g.Expect(all).To(HaveEach(HaveKeyWithValue("state", "applied")))
	g.Expect(holdfast(t, "migrate", "up")).To(has(0, HavePrefix("the schema is at version "), BeEmpty()))
	g.Expect(holdfast(t, "migrate", "status")).To(has(0, ContainSubstring("The schema is up to date."), BeEmpty()))
	g.Expect(holdfast(t, "migrate", "status", "--output", "json").Stdout).To(Equal(up.Stdout))
	g.Expect(holdfast(t, "migrate")).To(has(0, ContainSubstring("status"), BeEmpty()))
}

func TestANewerSchema(t *testing.T) {
	g := NewWithT(t)
	execute(t, migrated(t), "INSERT INTO holdfast_migrations (version_id, is_applied) VALUES (99, true)")
	for _, args := range [][]string{{"verify"}, {"dead-letter", "list"}, {"dead-letter", "redrive", "--all"}} {
		g.Expect(holdfast(t, args...)).To(has(2, BeEmpty(), ContainSubstring("run a release that supports version 99")), "%v", args)
	}
	g.Expect(holdfast(t, "migrate", "up")).To(has(1, BeEmpty(), ContainSubstring("is newer than this release")))
	g.Expect(holdfast(t, "migrate", "status")).To(has(0, MatchRegexp(`99 +unknown(.|\n)*Run that release`), BeEmpty()))
}

func TestAWrongDatabaseURL(t *testing.T) {
	g := NewWithT(t)
	u, err := url.Parse(database(t))
	g.Expect(err).NotTo(HaveOccurred())
	commands := [][]string{{"verify"}, {"dead-letter", "list"}, {"dead-letter", "redrive", "--all"}, {"migrate", "up"}, {"migrate", "status"}}
	for wrong, says := range map[string]string{
		"postgres://me:sesame@" + u.Host + "/command_1?sslmode=disable":       "check user and password in the database URL",
		"postgres://me:sesame@127.0.0.1:1/command_1?sslmode=disable":          "check host and port in the database URL",
		"postgres://" + u.User.String() + "@" + u.Host + "/x?sslmode=disable": "check the database name in the database URL",
		"mysql://me:sesame@localhost/x":                                       "expected postgres://user:password@host",
		"":                                                                    "HOLDFAST_DATABASE_URL",
	} {
		t.Setenv("HOLDFAST_DATABASE_URL", wrong)
		for _, command := range commands {
			got := holdfast(t, command...)
			g.Expect(got).To(And(HaveField("Status", Not(BeZero())), HaveField("Stdout", BeEmpty()), HaveField("Stderr", ContainSubstring(says))), "%v", command)
		}
	}
}

func TestVerify(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	items := trail(t, s, 4, 2)
	g.Expect(holdfast(t, "verify")).To(has(0, Equal("The trail is whole. Checked 3 rows in 1 chain, 1 dead letter.\n"), BeEmpty()))
	g.Expect(holdfast(t, "verify", "-o", "json").Stdout).To(MatchJSON(`{"verdict": "whole", "intact": true, "findings": [], "chains": 1, "entries": 3, "posted": 0, "deadLetters": 1, "unfinished": 0, "unchecked": 0, "live": 0}`))

	execute(t, s, "ALTER TABLE notification_audit DISABLE TRIGGER ALL")
	execute(t, s, "UPDATE notification_audit SET subject = E'\\x1b[31mforged' WHERE sequence = 3")
	broken := holdfast(t, "verify")
	g.Expect(broken).To(has(1, ContainSubstring("The trail is NOT whole: 1 finding."), Equal("holdfast: the trail is not whole: 1 finding\n")))
	g.Expect(broken.Stdout).To(HavePrefix(fmt.Sprintf(`column       shop/cart (%s) entry 3 in notification_audit %s: subject is`, items[0].Source.UID, items[2].Entry.ID)))
	g.Expect(broken.Stdout).NotTo(ContainSubstring("\x1b"), "nothing from the database reaches the terminal raw")
	asJSON := holdfast(t, "verify", "-o", "json")
	g.Expect(asJSON.Status).To(Equal(1))
	var report struct {
		Intact   bool
		Findings []struct {
			Problem, Table, UID string
			Sequence            int
		}
	}
	g.Expect(json.Unmarshal([]byte(asJSON.Stdout), &report)).To(Succeed())
	g.Expect(report.Intact).To(BeFalse())
	g.Expect(report.Findings).To(HaveLen(1))
	g.Expect(report.Findings[0].Problem).To(Equal("column"))
	g.Expect(report.Findings[0].Sequence).To(Equal(3))
}

// Whoever looked into a finding says so in a file. What happens later is found all the same.
func TestVerifyWithAcknowledgedFindings(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	trail(t, s, 4)
	execute(t, s, "ALTER TABLE notification_audit DISABLE TRIGGER ALL")
	forge := func(subject string) {
		execute(t, s, "UPDATE notification_audit SET subject = '"+subject+"' WHERE sequence = 3")
	}
	var honest string
	g.Expect(s.DB().QueryRowContext(t.Context(), "SELECT subject FROM notification_audit WHERE sequence = 3").Scan(&honest)).To(Succeed())
	forge("forged: ]")
	file := filepath.Join(t.TempDir(), "acknowledged.yaml")
	template := holdfast(t, "verify", "--acknowledgement-template")
	g.Expect(template).To(has(1, And(HavePrefix("# Findings of"), ContainSubstring("\nacknowledged:\n# subject is \"forged: ]\""), ContainSubstring("problem: column")), ContainSubstring("1 finding")))
	g.Expect(os.WriteFile(file, []byte(template.Stdout), 0o600)).To(Succeed())
	g.Expect(holdfast(t, "verify", "--acknowledged", file)).To(has(2, BeEmpty(), And(ContainSubstring(file), ContainSubstring(`acknowledged[0].by is "", expected the name`))))

	filled := strings.NewReplacer(`by: ""`, "by: jane", `reason: ""`, "reason: a test of ours").Replace(template.Stdout)
	g.Expect(os.WriteFile(file, []byte(filled), 0o600)).To(Succeed())
	accepted := holdfast(t, "verify", "--acknowledged", file)
	g.Expect(accepted).To(has(0, And(HavePrefix("Acknowledged:\n  column "), MatchRegexp(`\n    jane, 20\S+Z: a test of ours\n`), ContainSubstring("The trail is whole, except for 1 acknowledged finding. Checked 4 rows")), BeEmpty()))
	g.Expect(holdfast(t, "verify", "--acknowledged", file, "--acknowledgement-template").Stdout).NotTo(ContainSubstring("problem:"), "only what is left")
	var report struct {
		Verdict      string
		Findings     []any
		Acknowledged []struct {
			Problem      string
			Acknowledged struct{ By, Reason string }
		}
	}
	asJSON := holdfast(t, "verify", "--acknowledged", file, "-o", "json")
	g.Expect(json.Unmarshal([]byte(asJSON.Stdout), &report)).To(Succeed())
	g.Expect(report).To(And(HaveField("Verdict", "acknowledged"), HaveField("Findings", BeEmpty()), HaveField("Acknowledged", ConsistOf(HaveField("Acknowledged.By", "jane")))))

	forge("forged again")
	g.Expect(holdfast(t, "verify", "--acknowledged", file)).To(has(1, And(
		ContainSubstring(`subject is "forged again"`), ContainSubstring("Acknowledgements without a finding:"), ContainSubstring("changed after the acknowledgement")), ContainSubstring("1 finding")))
	forge(honest)
	g.Expect(holdfast(t, "verify", "--acknowledged", file)).To(has(1, ContainSubstring("the finding no longer exists"), ContainSubstring("1 acknowledgement in "+file)))
	g.Expect(holdfast(t, "verify", "--acknowledged", file+"-missing")).To(has(2, BeEmpty(), ContainSubstring("no such file")))
	g.Expect(holdfast(t, "verify", "--acknowledgement-template", "-o", "json")).To(has(2, BeEmpty(), ContainSubstring("prints YAML")))
}

func TestVerifyWithACluster(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	t.Setenv("KUBECONFIG", env.Cluster.Kubeconfig())
	trail(t, s, 2)
	obj := testenv.MakeNotification(env.Namespace(t.Context(), "command"), "cart").Obj()
	g.Expect(env.Client.Create(t.Context(), obj)).To(Succeed())
	t.Cleanup(func() {
		g.Expect(env.Vanish(context.WithoutCancel(t.Context()), obj)).To(Succeed())
	})
	writer := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})
	g.Expect(writer.Draft(obj).Save(t.Context(), &entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending",
		Record: models.Notification{RemediationID: "r", NotificationRequestedAt: outboxapi.NewTime(time.Now())}})).To(Succeed())
	g.Expect(holdfast(t, "verify")).To(has(0, Equal("The trail is whole. Checked 2 rows in 1 chain, 1 live resource.\n"), BeEmpty()))
	g.Expect(holdfast(t, "verify", "--kubeconfig", "")).To(has(0, Equal("The trail is whole. Checked 2 rows in 1 chain.\n"), BeEmpty()))

	// The resource says that its entry is durable; the database has never seen it.
	g.Expect(env.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), obj)).To(Succeed())
	obj.Status.Outbox.PersistedSequence = 1
	g.Expect(env.Client.Status().Update(t.Context(), obj)).To(Succeed())
	g.Expect(holdfast(t, "verify")).To(has(1, ContainSubstring("missing      "+obj.Namespace+"/cart"), ContainSubstring("1 finding")))

	missing := filepath.Join(t.TempDir(), "missing")
	g.Expect(holdfast(t, "verify", "--kubeconfig", missing)).To(has(2, BeEmpty(), And(ContainSubstring("missing"), ContainSubstring("--kubeconfig '' to check rows only"))))
	g.Expect(holdfast(t, "verify", "--resource", "backups")).To(has(2, BeEmpty(), ContainSubstring("expected KIND=RESOURCE.VERSION.GROUP")))
	g.Expect(holdfast(t, "verify", "--kubeconfig", "", "--resource", "a.b=c.v1.b")).To(has(2, BeEmpty(), ContainSubstring("without a cluster")))
}

func TestDeadLetters(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	g.Expect(holdfast(t, "dead-letter", "list")).To(has(0, Equal("No dead letters.\n"), BeEmpty()))
	g.Expect(holdfast(t, "dead-letter", "list", "-o", "json").Stdout).To(MatchJSON(`[]`))
	g.Expect(holdfast(t, "dead-letter", "redrive", "--all")).To(has(0, Equal("No dead letters.\n"), BeEmpty()))

	items := trail(t, s, 4, 2, 3)
	second, third := items[1].Entry.ID, items[2].Entry.ID
	listed := holdfast(t, "dead-letter", "list")
	g.Expect(listed).To(has(0, MatchRegexp(second+` +notification +shop/cart +2 +1 +\S+ +- +- +"for the \\x1b\[31mtest"`), BeEmpty()))
	var letters []struct{ Entry string }
	g.Expect(json.Unmarshal([]byte(holdfast(t, "dead-letter", "list", "-o", "json").Stdout), &letters)).To(Succeed())
	g.Expect(letters).To(ConsistOf(HaveField("Entry", string(items[1].Text)), HaveField("Entry", string(items[2].Text))))

	g.Expect(holdfast(t, "dead-letter", "redrive", second, "--dry-run")).To(has(0, Equal("would-redrive "+second+"\n"), BeEmpty()))
	g.Expect(holdfast(t, "dead-letter", "redrive", strings.ToUpper(second))).To(has(0, Equal("redriven "+second+"\n"), BeEmpty()))
	g.Expect(holdfast(t, "dead-letter", "redrive", second)).To(has(0, Equal("already-redriven "+second+"\n"), BeEmpty()))

	nobody := uuid.NewString()
	some := holdfast(t, "dead-letter", "redrive", third, nobody, "-o", "json")
	g.Expect(some.Status).To(Equal(1))
	g.Expect(some.Stderr).To(ContainSubstring("1 of 2 dead letters could not be stored as rows"))
	g.Expect(some.Stdout).To(MatchJSON(fmt.Sprintf(`[{"id": %q, "hash": %q, "result": "redriven"}, {"id": %q, "result": "unknown", "error": "no dead letter has this ID"}]`, third, items[2].Hash, nobody)))
	g.Expect(holdfast(t, "dead-letter", "list", "--all").Stdout).To(And(ContainSubstring(second), ContainSubstring(third)))
	g.Expect(holdfast(t, "dead-letter", "list").Stdout).To(Equal("No dead letters.\n"))
	g.Expect(holdfast(t, "verify").Stdout).To(Equal("The trail is whole. Checked 4 rows in 1 chain.\n"))

	for _, args := range [][]string{{}, {"--all", third}, {"seven"}} {
		g.Expect(holdfast(t, append([]string{"dead-letter", "redrive"}, args...)...)).To(has(2, BeEmpty(), Not(BeEmpty())), "%v", args)
	}
}

func TestWhatCannotBeRedrivenIsAFailure(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	trail(t, s, 2, 1)
	execute(t, s, "ALTER TABLE notification_audit ADD CONSTRAINT no CHECK (subject <> 'cart') NOT VALID")
	g.Expect(holdfast(t, "dead-letter", "redrive", "--all")).To(has(1, And(HavePrefix("failed "), ContainSubstring("check constraint")), ContainSubstring("1 of 1 dead letter could not be stored as rows")))
	execute(t, s, "DROP TABLE resource_audit")
	g.Expect(holdfast(t, "dead-letter", "redrive", "--all")).To(has(2, BeEmpty(), ContainSubstring("restore them from a backup")))
}

func TestStatusesOfMistakesAndInterruption(t *testing.T) {
	g := NewWithT(t)
	migrated(t)
	g.Expect(holdfast(t, "verify", "--nonsense")).To(has(2, BeEmpty(), ContainSubstring("unknown flag")))
	g.Expect(holdfast(t, "verify", "more")).To(has(2, BeEmpty(), ContainSubstring("takes flags only")))
	t.Setenv("HOLDFAST_OUTPUT", "xml")
	g.Expect(holdfast(t, "verify")).To(has(2, BeEmpty(), ContainSubstring("HOLDFAST_OUTPUT")))
	g.Expect(holdfast(t, "verify", "-o", "table").Status).To(BeZero(), "a flag wins over its variable")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(holdfastIn(canceled, t, "verify", "-o", "table")).To(has(130, BeEmpty(), ContainSubstring("interrupted")))
}
