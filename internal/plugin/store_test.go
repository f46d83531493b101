//go:build unix

package plugin_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

type historyOf struct {
	UID     string
	Live    bool
	Entries []struct {
		Sequence     int
		State, Event string
	}
	Verdict struct {
		Whole    bool
		Problems []string
	}
	Others []struct{ UID string }
}

// What is live and what is stored is one history, also of a resource that is gone, and of names that came again.
func TestHistory(t *testing.T) {
	f := setup(t)
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(nr)
	f.append(nr, change("Created", "Pending", false))
	var h historyOf
	f.into(f.in("history", "nr/news", "-o", "json"), &h)
	f.Expect(h.Entries).To(HaveExactElements(And(HaveField("Sequence", 1), HaveField("State", "pending"))))

	stop := f.manager(stack.Postgres.URL())
	s := f.in("wait", "nr/news", "--for=drained", "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.delete(nr)
	f.gone(nr)
	first := string(nr.UID)
	again := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(again)
	f.Expect(f.in("wait", "nr/news", "--for=Sent", "--timeout=2m").Code).To(BeZero())
	f.Expect(f.in("wait", "nr/news", "--for=drained", "--timeout=2m").Code).To(BeZero())
	stop()

	env := []string{"HOLDFAST_DATABASE_URL=" + stack.Postgres.URL()}
	plugin := filepath.Join(programs, "kubectl-holdfast")
	s = f.program(env, plugin, "history", "nr/news", "-n", f.namespace, "-o", "json", "--diff")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.into(s, &h)
	f.Expect(h.Others).To(HaveExactElements(HaveField("UID", first)))
	f.Expect(h.Verdict.Whole).To(BeTrue())
	f.golden("history.txt", f.program(env, plugin, "history", "nr/news", "-n", f.namespace).Stdout)
	f.golden("history.json", durations.ReplaceAllString(f.program(env, plugin, "history", "nr/news", "-n", f.namespace, "-o", "json").Stdout, "${1}N"))

	s = f.program(env, plugin, "history", "nr/news", "-n", f.namespace, "--since", "1ms")
	f.Expect(s.Stdout).To(MatchRegexp(`The chain is whole: \d+ entries, of which 0 are shown\.`))

	f.delete(again)
	f.gone(again)
	s = f.program(env, plugin, "history", "nr/news", "-n", f.namespace, "--uid", first, "-o", "json")
	f.into(s, &h)
	f.Expect(h.Live).To(BeFalse())
	f.Expect(h.Entries).To(HaveEach(HaveField("State", "durable")))
	f.Expect(len(h.Entries)).To(BeNumerically(">=", 2))
	f.Expect(f.program(env, plugin, "history", "nr/newz", "-n", f.namespace)).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("has the name"))))
}

// Rows are read in pages of a thousand: a full page is the last one, or not.
func TestHistoryOfManyEntries(t *testing.T) {
	f := setup(t)
	store, err := postgres.Open(ctx, stack.Postgres.URL(), postgres.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	defer store.Close()
	for _, n := range []int{1000, 1001} {
		nr := testenv.MakeNotification(f.namespace, fmt.Sprintf("news-%d", n)).Obj()
		f.create(nr)
		source := entry.SourceOf(nr)
		var o *outboxapi.Outbox
		var items []relay.Item
		for range n {
			o, _, err = entry.Append(o, source, change("DeliveryFailed", "Retrying", false), time.Now(), entry.Salt{}, entry.DefaultLimits())
			f.Expect(err).NotTo(HaveOccurred())
			items = append(items, relay.NewItems(source, "NotificationRequest", entry.PendingOf(nr.UID, o))...)
			o.SetEntries([]outboxapi.Entry{})
			o.PersistedSequence = o.LastSequence
		}
		for some := range slices.Chunk(items, 250) {
			_, err := store.Persist(ctx, some)
			f.Expect(err).NotTo(HaveOccurred())
		}
		nr.Status.Outbox = o
		f.Expect(api.Status().Update(ctx, nr)).To(Succeed())
		var h historyOf
		f.into(f.in("history", "nr/"+nr.Name, "--database-url", stack.Postgres.URL(), "-o", "json"), &h)
		f.Expect(h.Entries).To(HaveLen(n))
		f.Expect(h.Verdict.Whole).To(BeTrue(), "%v", h.Verdict.Problems)
	}
}

// durations are what a record says of how long something took.
var durations = regexp.MustCompile(`("[a-z_]*(?:duration|seconds|_ms)[a-z_]*": )\d+`)

// The account holdfast-reader of a namespace opens its rows, and no others.
func TestReportsOfANamespace(t *testing.T) {
	f := setup(t)
	f.Expect(stack.StartReports(ctx)).To(Succeed())
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "holdfast-reader"}})
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "holdfast-reader"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-report-viewer"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "holdfast-reader", Namespace: f.namespace}}}
	f.create(binding)
	stop := f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, "absent").Obj()
	f.create(rr)
	f.Expect(f.in("wait", "rr/absent", "--for=closed", "--timeout=2m").Code).To(BeZero())
	f.Expect(f.in("wait", "rr/absent", "--for=drained", "--timeout=2m").Code).To(BeZero())
	stop()
	with := []string{"--reports-url", stack.ReportsURL}
	s := f.in(append([]string{"report", "absent"}, with...)...)
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.Expect(s.Stdout).To(ContainSubstring("absent"))
	s = f.in(append([]string{"report", "--since=1h"}, with...)...)
	f.Expect(s.Stdout).To(And(ContainSubstring("absent"), ContainSubstring(string(rr.UID))), "%+v", s)
	var h historyOf
	f.into(f.in(append([]string{"history", "rr/absent", "-o", "json"}, with...)...), &h)
	f.Expect(h.Verdict.Whole).To(BeTrue(), "%+v", h)
	f.Expect(h.Entries).To(HaveEach(HaveField("State", "durable")))
	s = f.kubectl(append([]string{"report", string(rr.UID), "-n", "default"}, with...)...)
	f.Expect(s).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("holdfast-reader"))))
	plugin, token := filepath.Join(programs, "kubectl-holdfast"), []string{"HOLDFAST_REPORTS_TOKEN=" + stack.ReportsToken}
	s = f.program(append(token, "HOLDFAST_REPORTS_URL="+stack.ReportsURL), plugin, "report", "--since=7d", "-n", f.namespace)
	f.Expect(s).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("absent"))))
	s = f.program(token, plugin, "report", "absent", "-n", f.namespace)
	f.Expect(s).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("no report service"))), "a token is for the service at the URL")
	f.Expect(f.in("report", "absent")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("no report service"))))

	f.backup("settings") // without status.outbox: its operator does not run
	f.Expect(f.in(append([]string{"history", "backup/settings"}, with...)...)).To(HaveField("Code", 0))

	// The administrator of the namespace takes the right away. What cannot be read is not said to be missing.
	f.delete(binding)
	f.Eventually(func() said { return f.in(append([]string{"history", "rr/absent"}, with...)...) }).Should(And(HaveField("Code", 2),
		HaveField("Stdout", And(ContainSubstring("Could not read the store: the report service shows none of its entries"), Not(ContainSubstring("not whole"))))))
	// To list them is another right, which the service has asked for later: it remembers each for up to a minute.
	f.Eventually(func() string { return f.in(append([]string{"report", "--since=1h"}, with...)...).Stdout }).Should(Equal("No remediations found that the token may read.\n"))
}

func TestChecksAnInstallation(t *testing.T) {
	f := setup(t)
	s := f.kubectl("check")
	f.Expect(s.Code).To(Equal(1), "%+v", s)
	f.Expect(s.Stdout).To(And(ContainSubstring("policy holdfast-approval"), MatchRegexp(`failed +rights`)))
	f.manager(stack.Postgres.URL())
	var c struct {
		Checks []struct{ Check, State string }
	}
	f.into(f.kubectl("check", "--database-url", stack.Postgres.URL(), "-o", "json"), &c)
	for _, one := range c.Checks {
		if one.Check != "rights" && one.Check != "managers" { // this cluster has no account of the manager; leases of other tests may be left
			f.Expect(one.State).To(Equal("ok"), one.Check)
		}
	}
	f.into(f.kubectl("check", "--as=nobody", "-o", "json"), &c)
	f.Expect(c.Checks).To(ContainElement(HaveField("State", "unknown")))
}

func TestVersion(t *testing.T) {
	f := setup(t)
	s := f.kubectl("version", "--client", "-o", "json")
	f.Expect(s.Code).To(BeZero())
	f.golden("version.json", s.Stdout)
	f.Expect(f.kubectl("version").Stdout).To(ContainSubstring("server    v1."))
}

// The archive has no credential and no entry, and names what is left out.
func TestSupportBundle(t *testing.T) {
	f := setup(t)
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	nr.Spec.Subject = "the subject of an entry"
	f.create(nr)
	f.create(&corev1.Event{ObjectMeta: metav1.ObjectMeta{GenerateName: "leak-", Namespace: "holdfast-system"}, Reason: "Leak", Type: "Warning",
		Message: "dial postgres://user:hunter2secret@db.example.com/holdfast", InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: "holdfast-system", Name: "x"}})
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	s := f.in("support-bundle", "--file", file)
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.Expect(f.in("support-bundle", "--file", file)).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("exists"))))
	packed, err := os.Open(file)
	f.Expect(err).NotTo(HaveOccurred())
	defer packed.Close()
	unzipped, err := gzip.NewReader(packed)
	f.Expect(err).NotTo(HaveOccurred())
	var all strings.Builder
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		f.Expect(err).NotTo(HaveOccurred())
		all.WriteString(header.Name + "\n")
		_, err = io.Copy(&all, archive)
		f.Expect(err).NotTo(HaveOccurred())
	}
	f.Expect(all.String()).To(And(ContainSubstring("holdfast/status.json"), ContainSubstring("holdfast/left-out.json"), ContainSubstring("[redacted: password]"), ContainSubstring("news")))
	f.Expect(all.String()).NotTo(Or(ContainSubstring("hunter2secret"), ContainSubstring("the subject of an entry")))
}
