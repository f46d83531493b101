//go:build unix

package install

import (
	"os"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// health runs a health check as Argo CD does: the resource is the variable obj, and of Lua's libraries these three are there.
func health(t *testing.T, script string, o map[string]any) (status, message string) {
	t.Helper()
	g := NewWithT(t)
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, open := range []lua.LGFunction{lua.OpenBase, lua.OpenTable, lua.OpenString} {
		state.Push(state.NewFunction(open))
		g.Expect(state.PCall(0, 0, nil)).To(Succeed())
	}
	state.SetGlobal("obj", table(state, o))
	g.Expect(state.DoString(script)).To(Succeed())
	answer, ok := state.Get(-1).(*lua.LTable)
	g.Expect(ok).To(BeTrue(), "the check returns a table")
	return answer.RawGetString("status").String(), answer.RawGetString("message").String()
}

func table(state *lua.LState, value any) lua.LValue {
	switch v := value.(type) {
	case map[string]any:
		made := state.NewTable()
		for name, inner := range v {
			made.RawSetString(name, table(state, inner))
		}
		return made
	case []any:
		made := state.NewTable()
		for _, inner := range v {
			made.Append(table(state, inner))
		}
		return made
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	}
	return lua.LNil
}

// healthChecks are the shipped scripts, by kind.
func healthChecks(t *testing.T) map[string]string {
	t.Helper()
	g := NewWithT(t)
	text, err := os.ReadFile("../../config/argocd/argocd-cm.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	shipped := &corev1.ConfigMap{}
	g.Expect(yaml.UnmarshalStrict(text, shipped)).To(Succeed())
	checks := map[string]string{}
	for _, kind := range []string{"RemediationRequest", "AIAnalysis", "WorkflowExecution", "NotificationRequest"} {
		g.Expect(shipped.Data).To(HaveKey("resource.customizations.health.holdfast.dev_" + kind))
		checks[kind] = shipped.Data["resource.customizations.health.holdfast.dev_"+kind]
	}
	return checks
}

func TestHealthForArgoCD(t *testing.T) {
	for name, c := range map[string]struct{ resource, status, message string }{
		"new":              {`metadata: {}`, "Progressing", "Pending"},
		"at work":          {`{metadata: {}, status: {phase: Executing, conditions: [{type: Ready, status: "False", message: Executing}]}}`, "Progressing", "Executing"},
		"asks":             {`{metadata: {}, status: {phase: AwaitingApproval}}`, "Suspended", "Waits for a decision: kubectl holdfast approvals"},
		"done":             {`{metadata: {}, status: {phase: Completed, conditions: [{type: Finished, status: "True"}, {type: Ready, status: "True"}]}}`, "Healthy", "Completed"},
		"failed":           {`{metadata: {}, status: {phase: Failed, conditions: [{type: Finished, status: "True"}, {type: Ready, status: "False", message: the step failed}]}}`, "Degraded", "the step failed"},
		"failed, no words": {`{metadata: {}, status: {phase: TimedOut, conditions: [{type: Finished, status: "True"}]}}`, "Degraded", "TimedOut"},
		"blocked":          {`{metadata: {}, status: {phase: Executing, conditions: [{type: OutboxBlocked, status: "True", message: the outbox is full}]}}`, "Degraded", "the outbox is full"},
		"not blocked":      {`{metadata: {}, status: {phase: Executing, conditions: [{type: OutboxBlocked, status: "False"}]}}`, "Progressing", "Executing"},
		"held":             {`{metadata: {deletionTimestamp: "2026-01-02T03:04:05Z"}, status: {phase: Completed}}`, "Progressing", "Is being deleted: goes when its audit entries are stored"},
		"odd":              {`{metadata: {}, status: {phase: Completed, conditions: [{type: Finished, status: Unknown}]}}`, "Progressing", "Completed"},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, script := range healthChecks(t) {
				g, o := NewWithT(t), map[string]any{}
				g.Expect(yaml.Unmarshal([]byte(c.resource), &o)).To(Succeed())
				status, message := health(t, script, o)
				g.Expect([]string{status, message}).To(Equal([]string{c.status, c.message}), kind)
			}
		})
	}
}

// healthOf is the health of a resource of the cluster.
func (w *world) healthOf(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	status, _ := health(t, healthChecks(t)[o.GetKind()], o.Object)
	return status
}

// impersonated is a client of another administrator, as a backup tool is one.
func (w *world) impersonated(t *testing.T, user string) client.Client {
	t.Helper()
	config := rest.CopyConfig(w.cluster.RESTConfig())
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:masters", "system:authenticated"}}
	c, err := client.New(config, client.Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return c
}

// backedUp is what a backup keeps of a resource: everything but what the API server writes.
func backedUp(o *unstructured.Unstructured) *unstructured.Unstructured {
	kept := o.DeepCopy()
	for _, field := range []string{"uid", "resourceVersion", "creationTimestamp", "generation", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds"} {
		unstructured.RemoveNestedField(kept.Object, "metadata", field)
	}
	return kept
}

func (w *world) read(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	found := o.DeepCopy()
	NewWithT(t).Expect(w.client.Get(ctx, client.ObjectKeyFromObject(o), found)).To(Succeed())
	return found
}

// restore makes a resource anew with what a backup kept, its status too if the tool restores it.
func (w *world) restore(t *testing.T, backup *unstructured.Unstructured, withStatus bool) *unstructured.Unstructured {
	t.Helper()
	g := NewWithT(t)
	o := backup.DeepCopy()
	g.Expect(w.client.Create(ctx, o)).To(Succeed())
	g.Expect(o.GetUID()).NotTo(BeEmpty())
	if withStatus {
		o.Object["status"] = backup.DeepCopy().Object["status"]
		g.Expect(w.client.Status().Update(ctx, o)).To(Succeed())
	}
	return o
}

// finished waits until a request has ended.
func (w *world) finished(t *testing.T, o *unstructured.Unstructured) *unstructured.Unstructured {
	t.Helper()
	NewWithT(t).Eventually(func() string { return w.healthOf(t, w.read(t, o)) }, timeout, interval).Should(Equal("Healthy"))
	return w.read(t, o)
}

// takenAway deletes everything without a manager, as the loss of a cluster does.
func (w *world) takenAway(t *testing.T) {
	t.Helper()
	g := NewWithT(t)
	for _, kind := range []string{"RemediationRequest", "AIAnalysis", "WorkflowExecution", "NotificationRequest"} {
		all := &unstructured.UnstructuredList{}
		all.SetAPIVersion("holdfast.dev/v1alpha1")
		all.SetKind(kind + "List")
		g.Expect(w.client.List(ctx, all)).To(Succeed())
		for i := range all.Items {
			g.Expect(w.client.Delete(ctx, &all.Items[i])).To(Succeed())
			g.Expect(client.IgnoreNotFound(w.client.Patch(ctx, &all.Items[i], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))).To(Succeed())
			w.gone(t, &all.Items[i])
		}
	}
}

// letters are the dead letters of a resource, as `holdfast dead-letter list` prints them.
func (w *world) letters(t *testing.T, name string) (lines []string) {
	t.Helper()
	said := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "dead-letter", "list")
	NewWithT(t).Expect(said.Code).To(Equal(0), "%+v", said)
	for line := range strings.Lines(said.Stdout) {
		if strings.Contains(line, " default/"+name+" ") {
			lines = append(lines, line)
		}
	}
	return lines
}

func (w *world) pendingOf(t *testing.T, o *unstructured.Unstructured) int64 {
	t.Helper()
	n, _, err := unstructured.NestedInt64(w.read(t, o).Object, "status", "outbox", "pending")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return n
}

// installed has the default installation, and no manager yet. remove takes it away while the test's manager still runs, which releases what is left.
func installed(t *testing.T) (w *world, remove func()) {
	t.Helper()
	w = servers(t)
	w.prepare(t, "holdfast-database", "url")
	w.migrate(t)
	objects := kustomized(t, "resources: [../default]")
	w.apply(t, objects)
	w.green(t)
	return w, func() { w.remove(t, objects) }
}

// Velero and tools like it make resources anew from what they kept. The new ones have other uids than the entries that come with them.
func TestRestoredResources(t *testing.T) {
	g := NewWithT(t)
	w, remove := installed(t)
	defer remove()

	// The backup has entries that nobody stored: the database was away.
	request := w.request(t, "restored")
	stop := w.startManagerWith(t, "HOLDFAST_DATABASE_URL=postgres://nobody:x@127.0.0.1:1/none?sslmode=disable")
	backup := backedUp(w.finished(t, request))
	g.Expect(w.pendingOf(t, request)).To(BeEquivalentTo(4))
	children := w.children(t)
	stop()
	w.takenAway(t)

	t.Run("by another user", func(t *testing.T) {
		NewWithT(t).Expect(w.impersonated(t, "system:serviceaccount:velero:velero").Create(ctx, backup.DeepCopy())).To(MatchError(ContainSubstring("spec.requestedBy")))
	})
	stop = w.startManager(t)
	t.Run("with its status", func(t *testing.T) {
		g := NewWithT(t)
		restored := w.restore(t, backup, true)
		g.Eventually(func() []string { return w.letters(t, "restored") }, timeout, interval).Should(HaveLen(4))
		g.Expect(w.letters(t, "restored")).To(HaveEach(ContainSubstring("the entry belongs to another resource")))
		g.Expect(w.client.Delete(ctx, restored)).To(Succeed())
		w.gone(t, restored) // the finalizer is not stranded
	})
	t.Run("children", func(t *testing.T) { // Velero is cluster-admin, so it has the verb orchestrate
		g := NewWithT(t)
		g.Expect(children).NotTo(BeEmpty())
		for _, kept := range children {
			o := backedUp(kept)
			g.Expect(w.impersonated(t, "system:serviceaccount:velero:velero").Create(ctx, o)).To(Succeed())
			g.Eventually(func() any { return w.read(t, o).Object["status"] }, timeout, interval).Should(HaveKeyWithValue("conditions",
				ContainElement(And(HaveKeyWithValue("type", "RemediationRefused"), HaveKeyWithValue("status", "True")))), o.GetName())
		}
		w.cleared(t)
	})
	t.Run("without its status", func(t *testing.T) {
		g := NewWithT(t)
		restored := w.restore(t, backup, false)
		again := w.finished(t, restored) // it has run once more
		g.Expect(again.Object["status"]).To(HaveKeyWithValue("outbox", HaveKeyWithValue("lastSequence", BeEquivalentTo(4))))
		w.cleared(t, restored)
		g.Expect(w.letters(t, "restored")).To(HaveLen(4))
	})
	stop()

	// Nobody has lost the entries of the first one: dead letters are complete.
	verified := w.runWith(t, []string{"HOLDFAST_DATABASE_URL=" + w.databaseURL}, "holdfast", "verify")
	g.Expect(verified).To(And(HaveField("Code", 1), HaveField("Stdout", ContainSubstring("reordered    default/restored"))), "%+v", verified)
}

// Argo CD prunes with a deletion in the foreground or the background, and waits for the resource to go. A manager that runs lets it go; without one it hangs, and says why.
func TestPrunedResources(t *testing.T) {
	g := NewWithT(t)
	w, remove := installed(t)
	defer remove()
	request := w.request(t, "pruned")
	g.Expect(w.client.Delete(ctx, request, client.PropagationPolicy("Background"))).To(Succeed())
	g.Expect(w.healthOf(t, w.read(t, request))).To(Equal("Progressing"))
	said := w.run(t, "kubectl-holdfast", "explain", "rr/pruned", "-n", "default")
	g.Expect(said.Stdout).To(ContainSubstring("manager"))
	w.startManager(t)
	w.gone(t, request)
	w.cleared(t)
}

// children are what requests have made.
func (w *world) children(t *testing.T) (all []*unstructured.Unstructured) {
	t.Helper()
	for _, kind := range []string{"AIAnalysis", "WorkflowExecution", "NotificationRequest"} {
		list := &unstructured.UnstructuredList{}
		list.SetAPIVersion("holdfast.dev/v1alpha1")
		list.SetKind(kind + "List")
		NewWithT(t).Expect(w.client.List(ctx, list, client.InNamespace("default"))).To(Succeed())
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	return all
}
