package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
)

// pending makes a notification with n entries that nobody drains.
func pending(t *testing.T, namespace, name string, n int, final bool) *v1alpha1.NotificationRequest {
	t.Helper()
	g := NewWithT(t)
	obj := testenv.MakeNotification(namespace, name).Obj()
	g.Expect(env.Client.Create(t.Context(), obj)).To(Succeed())
	t.Cleanup(func() {
		g.Expect(env.Vanish(context.WithoutCancel(t.Context()), obj)).To(Succeed())
	})
	writer := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})
	for i := range n {
		g.Expect(writer.Draft(obj).Save(t.Context(), &entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Final: final && i == n-1,
			Record: models.Notification{RemediationID: "r", NotificationRequestedAt: outboxapi.NewTime(time.Now()), Subject: fmt.Sprintf("é \u2028 %d", i)}})).To(Succeed())
	}
	return obj
}

func TestExportAndImport(t *testing.T) {
	g := NewWithT(t)
	migrated(t)
	t.Setenv("KUBECONFIG", env.Cluster.Kubeconfig())
	ns := env.Namespace(t.Context(), "export")
	first, second := pending(t, ns, "first", 3, true), pending(t, ns, "second", 2, false)
	file := filepath.Join(t.TempDir(), "pending.jsonl")
	g.Expect(holdfast(t, "export", "-n", ns, "--cluster-name", "prod", "--file", file)).To(has(0, BeEmpty(), Equal("Exported 5 entries of 2 resources to "+file+".\n")))
	g.Expect(holdfast(t, "export", "-n", ns, "--file", file)).To(has(2, BeEmpty(), ContainSubstring("may hold the only copy")))
	info, err := os.Stat(file)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(info.Mode().Perm()).To(BeEquivalentTo(0o600))
	left, err := os.ReadDir(filepath.Dir(file))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(left).To(HaveLen(1), "nothing is left beside it")
	text, err := os.ReadFile(file)
	g.Expect(err).NotTo(HaveOccurred())
	printed := holdfast(t, "export", "-n", ns, "--cluster-name", "prod")
	g.Expect(printed).To(has(0, Not(BeEmpty()), ContainSubstring("standard output")))
	_, entries, _ := strings.Cut(string(text), "\n")
	g.Expect(printed.Stdout).To(HaveSuffix(entries))
	var header struct {
		Format, Cluster, Server string
		Resources, Entries      int
	}
	g.Expect(json.Unmarshal(bytes.SplitN(text, []byte("\n"), 2)[0], &header)).To(Succeed())
	g.Expect(header).To(And(HaveField("Format", "holdfast-export"), HaveField("Cluster", "prod"), HaveField("Resources", 2), HaveField("Entries", 5)))

	g.Expect(holdfast(t, "import", file, "--dry-run")).To(has(0, And(MatchRegexp(`first +3 +3 +0`), ContainSubstring("Dry run of an export of prod")), BeEmpty()))
	g.Expect(holdfast(t, "import", file)).To(has(0, And(MatchRegexp(`first +3 +3 +0`), MatchRegexp(`second +2 +2 +0`)), BeEmpty()))
	g.Expect(holdfast(t, "import", file)).To(has(0, And(MatchRegexp(`first +3 +0 +3`), MatchRegexp(`second +2 +0 +2`)), BeEmpty()))
	g.Expect(holdfast(t, "verify", "--cluster-name", "prod")).To(has(0, HavePrefix("The trail is whole. Checked 5 rows in 2 chains"), BeEmpty()))
	var hashes []string
	for _, o := range []*v1alpha1.NotificationRequest{first, second} {
		for i, p := 0, entry.PendingOf(o.UID, o.Status.Outbox); i < p.Len(); i++ {
			hashes = append(hashes, p.Hash(i))
		}
	}
	var rows []map[string]any
	s, err := postgres.Open(t.Context(), os.Getenv("HOLDFAST_DATABASE_URL"), postgres.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	defer s.Close()
	g.Expect(s.DB().NewRaw("SELECT encode(entry_hash, 'hex') AS hash FROM notification_audit WHERE source_cluster = 'prod'").Scan(t.Context(), &rows)).To(Succeed())
	g.Expect(rows).To(HaveLen(len(hashes)))
	for _, row := range rows {
		g.Expect(hashes).To(ContainElement(row["hash"]))
	}
}

func TestImportNamesWhatIsWrongAndBringsInTheRest(t *testing.T) {
	g := NewWithT(t)
	migrated(t)
	t.Setenv("KUBECONFIG", env.Cluster.Kubeconfig())
	ns := env.Namespace(t.Context(), "import")
	pending(t, ns, "cart", 4, true)
	lines := strings.SplitAfter(holdfast(t, "export", "-n", ns).Stdout, "\n")
	g.Expect(lines).To(HaveLen(6))
	lines[2] = strings.Replace(lines[2], `\"phase\":\"Sending\"`, `\"phase\":\"Forged\"`, 1)
	lines[3] = lines[3][:100] + "\n"
	file := filepath.Join(t.TempDir(), "fixed.jsonl")
	write := func(text string) { g.Expect(os.WriteFile(file, []byte(text), 0o600)).To(Succeed()) }
	write(strings.Join(lines, ""))
	want := And(MatchRegexp(`cart +3 +2 +0 +1`), MatchRegexp(`line 3, entry [0-9a-f-]{36}: dead letter: the entry's text has the hash [0-9a-f]{64}, expected "[0-9a-f]{64}", which the chain has`), ContainSubstring("line 4: not an entry"))
	g.Expect(holdfast(t, "import", file)).To(has(1, want, ContainSubstring("import is incomplete: 2 problems")))
	g.Expect(holdfast(t, "dead-letter", "list", "-o", "json").Stdout).To(ContainSubstring("Forged"))

	write(strings.Join(lines[:2], ""))
	g.Expect(holdfast(t, "import", file)).To(has(1, ContainSubstring("line 3: the file has 1 entries, its header says 4"), Not(BeEmpty())))
	write("{}\n")
	g.Expect(holdfast(t, "import", file)).To(has(2, BeEmpty(), ContainSubstring("line 1 is not a header")))
	write("")
	g.Expect(holdfast(t, "import", file)).To(has(2, BeEmpty(), ContainSubstring("the file is empty")))
	write(strings.Replace(lines[0], `"formatVersion":1`, `"formatVersion":2`, 1))
	g.Expect(holdfast(t, "import", file)).To(has(2, BeEmpty(), ContainSubstring("format version 2")))
	g.Expect(holdfast(t, "import", filepath.Join(t.TempDir(), "none"))).To(has(2, BeEmpty(), ContainSubstring("no such file")))
}

func TestReleaseLetsGoOfWhatItHasWritten(t *testing.T) {
	g := NewWithT(t)
	migrated(t)
	t.Setenv("KUBECONFIG", env.Cluster.Kubeconfig())
	ns := env.Namespace(t.Context(), "release")
	hangs, ended, stays := pending(t, ns, "hangs", 2, false), pending(t, ns, "ended", 1, true), pending(t, ns, "stays", 1, false)
	file := filepath.Join(t.TempDir(), "held.jsonl")
	for _, o := range []*v1alpha1.NotificationRequest{hangs, ended} {
		g.Expect(env.Client.Delete(t.Context(), o)).To(Succeed())
	}
	live := func(o *v1alpha1.NotificationRequest) error {
		return env.Client.Get(t.Context(), client.ObjectKeyFromObject(o), &v1alpha1.NotificationRequest{})
	}

	dry := holdfast(t, "release", "--all", "-n", ns, "--file", file, "--dry-run")
	g.Expect(dry).To(has(0, And(MatchRegexp(`ended +1 +nothing`), MatchRegexp(`hangs +2 +last state`), Not(ContainSubstring("stays"))), BeEmpty()))
	g.Expect(holdfast(t, "release", "--all", "-n", ns, "--file", file)).To(has(2, ContainSubstring("Remove the finalizer from 2 resources?"), ContainSubstring("the answer was not yes")))
	g.Expect(file).NotTo(BeAnExistingFile())
	g.Expect(live(hangs)).To(Succeed())

	g.Expect(holdfast(t, "release", "nr/stays", "-n", ns, "--file", file, "--yes")).To(has(2, BeEmpty(), ContainSubstring("is not in deletion")))
	g.Expect(holdfast(t, "release", "nr/none", "-n", ns, "--file", file, "--yes")).To(has(2, BeEmpty(), ContainSubstring("not found")))
	g.Expect(holdfast(t, "release", "notificationrequest/ended", "-n", ns, "--file", file, "--yes")).To(has(0, ContainSubstring("1/1 released notificationrequests/ended in "+ns), BeEmpty()))
	g.Expect(client.IgnoreNotFound(live(ended))).To(Succeed())
	g.Expect(live(ended)).NotTo(Succeed())

	rest := file + ".rest"
	g.Expect(holdfast(t, "release", "--all", "-n", ns, "--file", rest, "--yes")).To(has(0, ContainSubstring("1/1 released notificationrequests/hangs in "+ns), BeEmpty()))
	g.Expect(live(hangs)).NotTo(Succeed())
	g.Expect(live(stays)).To(Succeed())
	g.Expect(holdfast(t, "release", "--all", "-n", ns, "--file", rest+"2", "--yes")).To(has(0, Equal("No resource is stuck in Terminating because of its outbox.\n"), BeEmpty()))

	g.Expect(holdfast(t, "import", file).Status).To(BeZero())
	g.Expect(holdfast(t, "import", rest).Status).To(BeZero())
	g.Expect(holdfast(t, "verify")).To(has(1, And(MatchRegexp(`unfinished +`+ns+`/hangs`), ContainSubstring("1 finding"), ContainSubstring("3 rows in 2 chains")), Not(BeEmpty())))

	for _, args := range [][]string{{}, {"nr/x"}, {"--all", "nr/x", "-n", ns, "--file", "x"}, {"--all", "--file", "x"}, {"--all", "-A"}, {"nr/x", "-A", "--file", "x"}, {"x", "-n", ns, "--file", filepath.Join(t.TempDir(), "x")}} {
		g.Expect(holdfast(t, append([]string{"release"}, args...)...)).To(has(2, BeEmpty(), Not(BeEmpty())), "%v", args)
	}
}
