//go:build unix

package plugin_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/shard"
)

type explained struct {
	Situation, Why, Command, Through string
	Attention                        bool
}

// explainedSituations are those that a test has made.
var explainedSituations = map[string]bool{}

// is explains a resource, checks the situation, and pastes the command into a shell.
func (f *fixture) is(ref, situation string) explained {
	f.t.Helper()
	var e explained
	f.Eventually(func(g Gomega) {
		s := f.in("explain", ref, "-o", "json")
		e = explained{}
		f.into(s, &e)
		g.Expect(e.Situation).To(Equal(situation), "%+v", s)
		g.Expect(s.Code).To(Equal(map[bool]int{true: 1, false: 0}[e.Attention]))
	}).Should(Succeed())
	f.Expect(e.Why).To(And(HaveSuffix("."), Not(ContainSubstring("\n")), Not(MatchRegexp(`\. [A-Z]`))), "one sentence")
	explainedSituations[situation] = true
	f.t.Logf("%s: %s\n    %s", situation, e.Why, e.Command)
	return e
}

// pasted runs a command as it was printed.
func (f *fixture) pasted(command string) said {
	f.t.Helper()
	s := f.program(nil, "/bin/sh", "-c", command)
	f.Expect(s.Code).To(BeElementOf(0, 1), "%s: %+v", command, s)
	f.Expect(s.Stderr).NotTo(Or(ContainSubstring("unknown"), ContainSubstring("not found"), ContainSubstring("error:")), command)
	return s
}

var record = models.Notification{RemediationID: "r", Channels: []string{"console"}, Subject: "subject"}

func change(event, phase string, final bool) entry.Change {
	r := record
	r.NotificationRequestedAt = outboxapi.NewTime(time.Now())
	return entry.Change{Kind: entry.KindNotification, Event: event, Phase: phase, Record: r, Final: final}
}

// backdated replaces the outbox of a resource by one whose entry was recorded an hour ago.
func (f *fixture) backdated(o outbox.Object, c entry.Change) {
	f.t.Helper()
	f.read(o)
	next, _, err := entry.Append(outboxapi.Get(o), entry.SourceOf(o), c, time.Now().Add(-time.Hour), entry.Salt{1}, entry.DefaultLimits())
	f.Expect(err).NotTo(HaveOccurred())
	outboxapi.Set(o, next)
	f.Expect(api.Status().Update(ctx, o)).To(Succeed())
}

// Situations that need no manager, or none that works.
func TestExplainsWhatNobodyWorksOn(t *testing.T) {
	f := setup(t)
	f.system = f.namespace // no manager has ever had a lease

	nr := testenv.MakeNotification(f.namespace, "waits").Obj()
	f.create(nr)
	f.backdated(nr, change("Created", "Pending", false))
	f.pasted(f.is("nr/waits", "NoManager").Command)
	f.delete(nr)
	f.Expect(f.is("nr/waits", "NoManager").Why).To(ContainSubstring("has been in deletion for"))

	newer := testenv.MakeNotification(f.namespace, "newer").Obj()
	f.create(newer)
	f.backdated(newer, change("Created", "Pending", false))
	text := strings.Replace(string(newer.Status.Outbox.Entries[0]), `"schemaVersion":1`, `"schemaVersion":2`, 1)
	later := testenv.MakeNotification(f.namespace, "later").Obj()
	f.create(later)
	later.Status.Outbox = &outboxapi.Outbox{LastSequence: 1, HeadHash: entry.Hash([]byte(text)), Entries: []outboxapi.Entry{outboxapi.Entry(text)}}
	f.Expect(api.Status().Update(ctx, later)).To(Succeed())
	f.pasted(f.is("nr/later", "SchemaUnknown").Command)

	b := f.backup("open")
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: "Running"})
	f.pasted(f.is("backup/open", "InProgress").Command)
	f.delete(b)
	f.pasted(f.is("backup/open", "OpenRecord").Command)

	between := testenv.MakeRemediation(f.namespace, "between").Obj()
	f.create(between)
	f.append(between, entry.Change{Kind: entry.KindOrchestration, Event: "Received", Phase: "Pending", Record: models.Orchestration{RemediationID: string(between.UID)}})
	f.pasted(f.is("rr/between", "WaitsForChild").Command)

	ended := f.backup("ended")
	f.append(ended, entry.Change{Kind: "backups.example.com", Event: "Ended", Phase: "Done", Final: true})
	f.Expect(f.is("backup/ended", "Draining").Command).To(ContainSubstring("wait"))

	full := f.backup("full")
	marks := &testenv.Watermarks{}
	limits := entry.DefaultLimits()
	limits.HardEntries = 8
	small := outbox.NewWriter(api, api, marks.WithLimits(limits))
	for blocked := false; !blocked; {
		f.read(full)
		d := small.Draft(full)
		if err := d.Reserve(ctx, 1); err != nil {
			f.Expect(err).To(MatchError(outbox.ErrFull))
			blocked = true
			continue
		}
		f.Expect(d.Save(ctx, &entry.Change{Kind: "backups.example.com", Event: "Copied", Phase: "Running"})).To(Succeed())
	}
	f.pasted(f.is("backup/full", "OutboxFull").Command)

	foreign := f.backup("foreign")
	f.patch(foreign, `{"metadata":{"finalizers":["example.com/theirs"]}}`)
	f.delete(foreign)
	f.pasted(f.is("backup/foreign", "ForeignFinalizer").Command)
	f.gone(foreign) // the command moved it on
}

func TestExplainsAResourceThatIsTooLarge(t *testing.T) {
	f := setup(t)
	wfe := f.workflow("large")
	wfe.Spec.Steps = nil
	for i := range 8 {
		parameters := map[string]v1alpha1.ParameterValue{}
		for j := range 20 {
			parameters[fmt.Sprintf("p%02d", j)] = v1alpha1.ParameterValue(strings.Repeat("<", 1024)) // six bytes each
		}
		wfe.Spec.Steps = append(wfe.Spec.Steps, v1alpha1.WorkflowStep{Name: fmt.Sprint("step-", i), Action: "Wait", Parameters: parameters})
	}
	f.create(wfe)
	f.read(wfe)
	f.Expect(f.writer.Draft(wfe).Save(ctx, &entry.Change{Kind: entry.KindExecution, Event: "Created", Phase: "Pending", Record: models.Execution{RemediationID: "r"}})).NotTo(Succeed())
	f.pasted(f.is("wfe/large", "ResourceTooLarge").Command)
}

// away is a database that nothing listens at.
const away = "postgres://nobody:x@127.0.0.1:1/holdfast?sslmode=disable&connect_timeout=1"

func TestExplainsAnOutage(t *testing.T) {
	f := setup(t)
	f.system = f.namespace
	stop := f.manager(away)
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(nr)
	s := f.in("wait", "nr/news", "--for=Sent", "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.delete(nr)
	f.pasted(f.is("nr/news", "StoreUnavailable").Command)
	f.Expect(f.goldens("status-outage", "status", "--exit-code")).To(Equal(1))
	f.Expect(f.goldens("explain-outage", "explain", "nr/news")).To(Equal(1))
	f.Expect(f.goldens("list-held", "list", "--held")).To(BeZero())
	f.Expect(f.goldens("wait-timeout", "wait", "nr/news", "--for=drained", "--timeout=1s")).To(Equal(124))
	f.Expect(f.goldens("drain-timeout", "drain", "--timeout=1s")).To(Equal(124))
	f.Expect(f.in("drain", "--timeout=1s").Stderr).To(ContainSubstring("kubectl holdfast explain"))
	f.Expect(f.goldens("check", "check")).To(BeZero())
	stop()

	// The store is back.
	f.manager(stack.Postgres.URL())
	f.gone(nr)
	f.create(testenv.MakeNotification(f.namespace, "more").Obj())
	f.settled("nr/more", "Sent")
	f.Expect(f.goldens("status", "status", "--exit-code")).To(BeZero())
	f.golden("status-wide.txt", f.in("status", "-o", "wide").Stdout)
	f.Expect(f.goldens("wait", "wait", "nr/more", "--for=closed")).To(BeZero())
	f.Expect(f.goldens("drain", "drain")).To(BeZero())
	f.Expect(f.goldens("list-drained", "list")).To(BeZero())
	f.Expect(f.goldens("entries-drained", "entries", "nr/more")).To(BeZero())
}

func TestExplainsAShardWithoutAManager(t *testing.T) {
	f := setup(t)
	missing := shard.Shard{Index: 1, Total: 2} // has the namespace, and the request by its uid: whatever shards go by, it has no manager
	if !missing.Owns(f.namespace) {
		missing.Index = 0
	}
	f.manager(stack.Postgres.URL(), "--total-shards=2", fmt.Sprintf("--shard=%d", 1-missing.Index))
	var lost *v1alpha1.RemediationRequest
	for i := 0; lost == nil; i++ {
		rr := testenv.MakeRemediation(f.namespace, fmt.Sprintf("cart-%d", i)).Obj()
		f.create(rr)
		if missing.Owns(string(rr.UID)) {
			lost = rr
		}
	}
	e := f.is("rr/"+lost.Name, "ShardWithoutManager")
	f.Expect(e.Why).To(ContainSubstring(fmt.Sprintf("shard %d-of-2", missing.Index)))
	f.pasted(e.Command)
}

// The deletion of a request in the foreground waits for what it owns.
func TestExplainsAnOwnerReference(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, "gone").Obj() // its target does not exist, so nothing is done
	f.create(rr)
	f.Eventually(func() bool { f.read(rr); return rr.Status.Outbox.Closed && len(rr.Status.Outbox.Entries) == 0 }).Should(BeTrue())
	child := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: rr.Status.Notification}}
	f.Eventually(func() bool { f.read(child); return len(child.Finalizers) == 0 }).Should(BeTrue())
	f.patch(child, `{"metadata":{"finalizers":["example.com/theirs"]}}`)
	f.delete(rr, client.PropagationPolicy(metav1.DeletePropagationForeground))
	var e explained
	f.Eventually(func() string { e = f.is("rr/gone", "WaitsForDependents"); return e.Why }).Should(ContainSubstring("owner reference of notificationrequest.holdfast.dev/" + child.Name))
	s := f.pasted(e.Command)
	f.Expect(s.Stdout).To(ContainSubstring("example.com/theirs"))
	f.pasted(strings.TrimSpace(strings.Split(s.Stdout, "\n")[1]))
	f.gone(rr)
}

func TestExplainsARefusedDecision(t *testing.T) {
	f := setup(t)
	d := f.broken("cart")
	f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, d.Name).Obj()
	f.create(rr)
	e := f.is("rr/cart", "AwaitingApproval")
	_, name, _ := strings.Cut(e.Through, "/")
	binding := &admissionregistrationv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: "holdfast-approval"}}
	f.read(binding)
	again := binding.DeepCopy()
	again.ResourceVersion, again.UID = "", ""
	f.delete(binding)
	t.Cleanup(func() { f.create(again) })

	s := f.in("approve", name, "--reason", "known", "--yes")
	f.Expect(s).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("is not installed"))))
	aia := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	f.Eventually(func() error {
		return api.Patch(ctx, aia, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"decision":{"verdict":"Approved","decidedBy":"mallory","method":"api"}}}`)))
	}).Should(Succeed())
	e = f.is("rr/cart", "DecisionRefused")
	f.pasted(e.Command + " --yes")
	f.Expect(f.in("wait", "rr/cart", "--for=Cancelled", "--timeout=1m").Code).To(BeZero())
}

func TestExplainsDeadLetters(t *testing.T) {
	f := setup(t)
	damaged := testenv.MakeNotification(f.namespace, "damaged").Obj()
	f.create(damaged)
	damaged.Status.Outbox = &outboxapi.Outbox{LastSequence: 1, HeadHash: entry.Hash([]byte("x")), Entries: []outboxapi.Entry{"no entry"}}
	f.Expect(api.Status().Update(ctx, damaged)).To(Succeed())
	s := f.in("entries", "nr/damaged")
	f.Expect(s.Code).To(Equal(1), "%+v", s)

	// The store has another history of this resource, as after a restore of etcd.
	restored := testenv.MakeNotification(f.namespace, "restored").Obj()
	f.create(restored)
	other, _, err := entry.Append(nil, entry.SourceOf(restored), change("Created", "Pending", false), time.Now(), entry.Salt{2}, entry.DefaultLimits())
	f.Expect(err).NotTo(HaveOccurred())
	store, err := postgres.Open(ctx, stack.Postgres.URL(), postgres.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	defer store.Close()
	outcomes, err := store.Persist(ctx, relay.NewItems(entry.SourceOf(restored), "NotificationRequest", entry.PendingOf(restored.UID, other)))
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(outcomes).To(HaveExactElements(HaveField("Result", relay.Stored)))
	f.backdated(restored, change("Created", "Pending", false))

	f.manager(stack.Postgres.URL())
	env := []string{"HOLDFAST_DATABASE_URL=" + stack.Postgres.URL()}
	for ref, situation := range map[string]string{"nr/damaged": "DeadLetter", "nr/restored": "SecondHistory"} {
		e := f.is(ref, situation)
		s := f.program(env, "/bin/sh", "-c", e.Command)
		f.Expect(s.Code).To(BeZero(), "%s: %+v", e.Command, s)
	}
	s = f.program(env, filepath.Join(programs, "kubectl-holdfast"), "status", "-A")
	f.Expect(s.Stdout).To(MatchRegexp(`schema current, \d+ dead letters`), "%+v", s)
}

// everySituation says which situation has no test that made it, or no row in docs/kubectl.md. It is asked when all tests have run.
func everySituation() (code int) {
	text, err := os.ReadFile("situation.go")
	docs, bad := os.ReadFile(filepath.Join("..", "..", "docs", "kubectl.md"))
	if err := errors.Join(err, bad); err != nil {
		fmt.Println(err)
		return 1
	}
	_, table, _ := strings.Cut(string(docs), "\n## Situations\n")
	table, _, _ = strings.Cut(table, "\n## ")
	known := regexp.MustCompile(`situation = "(\w+)"`).FindAllStringSubmatch(string(text), -1)
	if len(known) < 15 {
		fmt.Println("situation.go is not as this test reads it")
		return 1
	}
	sources, _ := filepath.Glob("situations*.go")
	for _, name := range sources {
		if source, err := os.ReadFile(name); err != nil || strings.Contains(string(source), `Situation: "`) {
			fmt.Printf("%s has a situation that is not in situation.go (%v)\n", name, err)
			code = 1
		}
	}
	for _, match := range known {
		if !explainedSituations[match[1]] {
			fmt.Printf("no test makes the situation %s\n", match[1])
			code = 1
		}
		if !strings.Contains(table, "`"+match[1]+"`") {
			fmt.Printf("docs/kubectl.md has no row for the situation %s\n", match[1])
			code = 1
		}
	}
	return code
}
