//go:build unix

package plugin_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
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
	f.Expect(e.Why).To(And(HaveSuffix("."), Not(ContainSubstring("\n"))))
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

	nr := testenv.MakeNotification(f.namespace, "waits").Obj()
	f.create(nr)
	f.backdated(nr, change("Created", "Pending", false))
	f.pasted(f.is("nr/waits", "NoManager").Command)
	f.delete(nr)
	f.Expect(f.is("nr/waits", "NoManager").Why).To(ContainSubstring("is in deletion since"))

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
	stop := f.manager(away)
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)
	f.Eventually(func() int64 { f.read(rr); return rr.Status.Outbox.LastSequence }).Should(BeNumerically(">", 0))
	f.delete(rr)
	e := f.is("rr/cart", "StoreUnavailable")
	f.Expect(e.Why).To(ContainSubstring("until the store accepts entries again"))
	f.pasted(e.Command)
	s := f.kubectl("status", "-A", "--exit-code")
	f.Expect(s.Code).To(Equal(1), "%+v", s)
	f.Expect(s.Stdout).To(And(ContainSubstring("breaker open"), ContainSubstring("The store accepts no entries.")))
	s = f.in("drain", "--timeout=1s")
	f.Expect(s).To(And(HaveField("Code", 124), HaveField("Stderr", ContainSubstring("kubectl holdfast explain"))))
	stop()

	// The store is back.
	f.manager(stack.Postgres.URL())
	f.gone(rr)
	s = f.in("drain", "--timeout=2m")
	f.Expect(s).To(And(HaveField("Code", 0), HaveField("Stdout", Equal("Nothing is pending.\n"))))
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

// Situations of a manager that works.
func TestExplainsWork(t *testing.T) {
	f := setup(t)
	d := f.broken("cart")
	f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, d.Name).Obj()
	f.create(rr)

	// A request waits for its analysis, which waits for a person.
	e := f.is("rr/cart", "AwaitingApproval")
	f.Expect(e.Through).To(HavePrefix("aianalysis.holdfast.dev/cart-"))
	f.Expect(e.Why).To(ContainSubstring("nobody is bound to the role"))
	f.approver("jane")
	f.Expect(f.is("rr/cart", "AwaitingApproval").Why).To(ContainSubstring("user jane may decide"))
	f.read(rr)
	f.Eventually(func() bool {
		asked := &v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: rr.Status.ApprovalNotification}}
		f.read(asked)
		return asked.Status.Phase.Final()
	}).Should(BeTrue())
	f.Expect(f.in("drain", "--timeout=2m").Code).To(BeZero()) // the tree says what is pending
	for name, args := range map[string][]string{"tree.txt": {"tree", "cart"}, "approvals.txt": {"approvals"}} {
		s := f.in(args...)
		f.Expect(s.Code).To(BeZero(), "%+v", s)
		f.golden(name, hashless(s.Stdout))
	}
	f.pasted(e.Command + " --yes")
	s := f.in("wait", "rr/cart", "--for=closed", "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	e = f.is("rr/cart", "TTLRunning")
	var analysis string
	for _, line := range strings.Split(f.in("tree", "cart", "-o", "name").Stdout, "\n") {
		if strings.HasPrefix(line, "aianalysis") {
			analysis = line
		}
	}
	f.pasted(f.is(analysis, "KeptByOwner").Command)
	f.pasted(e.Command)
	f.gone(rr)

	// A step that waits, and a delivery that is tried again.
	wfe := f.workflow("patient")
	wfe.Spec.Steps = []v1alpha1.WorkflowStep{{Name: "settle", Action: "Wait", Parameters: map[string]v1alpha1.ParameterValue{"for": "target.spec.replicas >= 99"}}}
	f.create(wfe)
	f.pasted(f.is("wfe/patient", "StepRunning").Command)
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "hook"}, StringData: map[string]string{"url": "http://127.0.0.1:1/"}})
	nr := testenv.MakeNotification(f.namespace, "retried").Obj()
	nr.Spec.Channels = []v1alpha1.Channel{{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "url"}}}
	f.create(nr)
	f.pasted(f.is("nr/retried", "DeliveryRetries").Command)
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
