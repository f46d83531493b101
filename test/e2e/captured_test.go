//go:build unix

package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// rollbackTimeout covers a wait for a rollout that fails, and the rollback after it.
const rollbackTimeout = 2 * testenv.LongTimeout

// Remediations of every ending, through a real manager: no column that a report needs is empty where it must not be.
func TestEveryEndingLeavesWhatAReportNeeds(t *testing.T) {
	f, m := setup(t), setup(t)
	f.manager(stack.Postgres.URL(), "--namespaces", f.namespace)
	m.manager(stack.Postgres.URL(), "--namespaces", m.namespace, "--investigator-url", model(t))

	made := map[ending]*v1alpha1.RemediationRequest{}
	request := func(f *fixture, e ending, name string, change func(*v1alpha1.RemediationRequest)) {
		rr := testenv.MakeRemediation(f.namespace, name).Auto(80).Obj()
		rr.Spec.Signal.Labels = map[string]v1alpha1.LabelValue{"team": "checkout"}
		rr.Spec.Signal.Annotations = map[string]v1alpha1.AnnotationValue{"summary": "it crashes"}
		if change != nil {
			change(rr)
		}
		f.create(rr)
		made[e] = rr
	}
	manual := func(rr *v1alpha1.RemediationRequest) {
		rr.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
	}
	f.undoable("rolled")
	request(f, rolled, "rolled", nil) // first, since it takes the longest
	f.broken("automatic")
	request(f, automatic, "automatic", nil)
	m.broken("model")
	request(m, byModel, "model", nil)
	f.available("healthy")
	request(f, noAction, "healthy", nil)
	for i, e := range []ending{approved, rejected, expired, cancelled, deleted} {
		name := fmt.Sprintf("manual%d", i)
		f.broken(name)
		request(f, e, name, func(rr *v1alpha1.RemediationRequest) {
			manual(rr)
			if e == expired {
				rr.Spec.Timeouts.Approval = &metav1.Duration{Duration: 2 * time.Second}
			}
		})
	}
	for _, e := range []ending{approved, rejected, cancelled, deleted} {
		f.Eventually(f.phase(made[e])).Should(Equal(v1alpha1.RemediationAwaitingApproval), string(e))
	}
	f.decides(made[approved], v1alpha1.VerdictApproved)
	f.decides(made[rejected], v1alpha1.VerdictRejected)
	f.Expect(f.client.Patch(ctx, made[cancelled].DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
	f.Expect(f.client.Delete(ctx, made[deleted].DeepCopy())).To(Succeed())
	for _, e := range every {
		f.Eventually(func() string { return f.finalOutcome(made[e].UID) }).WithTimeout(rollbackTimeout).Should(Equal(outcomes[e]), string(e))
	}
	f.whole()
	m.whole()
	for _, e := range every {
		t.Run(string(e), func(t *testing.T) {
			f.holds(t, e, made[e].UID)
			f.asks(t, e, made[e].UID)
		})
	}
	t.Run("what was rolled back was rolled back", func(t *testing.T) {
		var n int
		NewWithT(t).Expect(f.database.QueryRow(`SELECT rollbacks_performed FROM workflow_execution_audit WHERE remediation_id = $1 AND final`, string(made[rolled].UID)).Scan(&n)).To(Succeed())
		NewWithT(t).Expect(n).To(BeNumerically(">=", 1))
	})
}

// outcomes of the requests.
var outcomes = map[ending]string{
	automatic: "remediated", byModel: "remediated", approved: "remediated", rejected: "rejected", expired: "timed-out", rolled: "failed", noAction: "no-action", cancelled: "cancelled", deleted: "cancelled",
}

func (f *fixture) finalOutcome(uid types.UID) (outcome string) {
	_ = f.database.QueryRow(`SELECT outcome FROM orchestration_audit WHERE source_uid = $1 AND final`, string(uid)).Scan(&outcome)
	return outcome
}

// holds checks the last row of each resource of a remediation against the table.
func (f *fixture) holds(t *testing.T, e ending, uid types.UID) {
	g := NewWithT(t)
	for _, table := range tables {
		var text []byte
		of := ""
		if table == notification { // those that ask for a decision may be called off before they are sent
			of = ` AND purpose = 'Outcome'`
		}
		err := f.database.QueryRow(`SELECT coalesce(json_agg(r), '[]') FROM `+table+` AS r WHERE remediation_id = $1 AND final`+of, string(uid)).Scan(&text)
		g.Expect(err).NotTo(HaveOccurred())
		var rows []map[string]any
		g.Expect(json.Unmarshal(text, &rows)).To(Succeed())
		needed := slices.ContainsFunc(columns, func(c column) bool { return c.table == table && slices.Contains(c.filled, e) })
		if needed {
			g.Expect(rows).NotTo(BeEmpty(), "rows of %s", table)
		} else {
			g.Expect(rows).To(BeEmpty(), "rows of %s", table)
		}
		for _, row := range rows {
			for _, c := range columns {
				if c.table == table && slices.Contains(c.filled, e) {
					g.Expect(blank(member(row, c.name))).To(BeFalse(), "%s.%s is empty: %v", table, c.name, member(row, c.name))
				}
			}
		}
	}
}

// asks checks that a remediation which asked for a decision has a row that says so, of a child that the request names.
func (f *fixture) asks(t *testing.T, e ending, uid types.UID) {
	g := NewWithT(t)
	var n int
	g.Expect(f.database.QueryRow(`SELECT count(*) FROM notification_audit AS n JOIN orchestration_audit AS o ON o.remediation_id = n.remediation_id AND o.final
		WHERE n.remediation_id = $1 AND n.final AND n.purpose = 'ApprovalNeeded' AND n.subject LIKE 'Approval needed: %' AND n.channels = '["console"]'
		AND o.children @> jsonb_build_array(jsonb_build_object('service', 'Notification', 'uid', n.source_uid))`, string(uid)).Scan(&n)).To(Succeed())
	if slices.Contains(asked, e) {
		g.Expect(n).To(Equal(1))
	} else {
		g.Expect(n).To(BeZero())
	}
}

// member is a column, or what a path leads to in a JSON column.
func member(row map[string]any, path string) any {
	var at any = row
	for _, name := range strings.Split(path, ".") {
		name, indexed := strings.CutSuffix(name, "[0]")
		fields, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = fields[name]
		if list, ok := at.([]any); indexed && ok && len(list) > 0 {
			at = list[0]
		}
	}
	return at
}

func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

// undoable crashes since its newest rollout, and the revision before is no better: undoing it fails, and is rolled back.
func (f *fixture) undoable(name string) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Strategy: appsv1.DeploymentStrategy{Type: appsv1.RecreateDeploymentStrategyType},
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		// How long the workflow waits for a rollout that does not come further. By default it is ten minutes.
		ProgressDeadlineSeconds: ptr.To[int32](15),
		Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/" + name + ":missing"}}}},
	}}
	f.create(d)
	f.Eventually(f.waiting(labels)).Should(ContainElement(BeElementOf("ImagePullBackOff", "ErrImagePull")))
	f.Expect(f.client.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.com/`+name+`:crash"}]}}}}`)))).To(Succeed())
	f.Eventually(f.waiting(labels)).Should(HaveExactElements("CrashLoopBackOff"))
}

// waiting are the reasons for which containers wait.
func (f *fixture) waiting(labels map[string]string) func() []string {
	return func() []string {
		pods := &corev1.PodList{}
		f.Expect(f.client.List(ctx, pods, client.InNamespace(f.namespace), client.MatchingLabels(labels))).To(Succeed())
		var reasons []string
		for _, p := range pods.Items {
			for _, s := range p.Status.ContainerStatuses {
				if s.State.Waiting != nil {
					reasons = append(reasons, s.State.Waiting.Reason)
				}
			}
		}
		return reasons
	}
}

// available is a target that nothing is wrong with.
func (f *fixture) available(name string) {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/" + name + ":v1"}}}},
	}}
	f.create(d)
	f.Eventually(func() int32 { f.read(d); return d.Status.AvailableReplicas }).Should(BeEquivalentTo(1))
}

// decides is what a person does.
func (f *fixture) decides(rr *v1alpha1.RemediationRequest, verdict v1alpha1.Verdict) {
	f.read(rr)
	a := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: rr.Status.Analysis}}
	f.Expect(f.client.Patch(ctx, a, client.RawPatch(types.MergePatchType,
		fmt.Appendf(nil, `{"spec":{"decision":{"verdict":%q,"decidedBy":%q,"method":"api","justification":"known bad release"}}}`, verdict, rr.Spec.RequestedBy)))).To(Succeed())
}

// model is a server that answers as HolmesGPT does.
func model(t *testing.T) string {
	answer, err := json.Marshal(map[string]any{
		"analysis": `{"root_cause":"the new image crashes","root_cause_confidence":95,"workflow":"rollout-undo","parameters":[{"name":"toRevision","value":"0"}],"action_confidence":90,
			"rationale":"it began with the rollout","no_action_reason":"","alternatives":[{"action":"rollout-restart","confidence":10,"rejected_reason":"the same image"}]}`,
		"tool_calls": []any{map[string]any{"tool_name": "kubectl_logs", "description": "the log of main", "result": map[string]any{"status": "success", "data": "exit code 1"}}},
		"metadata":   map[string]any{"model": "model-1", "usage": map[string]any{"prompt_tokens": 2500, "completion_tokens": 150}},
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

var update = flag.Bool("update", false, "write docs/captured.md anew")

// docs/captured.md repeats the tables of this test.
func TestThePageSaysWhatIsTested(t *testing.T) {
	g := NewWithT(t)
	const page, begin, end = "../../docs/captured.md", "<!-- begin: test/e2e/captured_table_test.go -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(page)
	g.Expect(err).NotTo(HaveOccurred())
	before, rest, found := strings.Cut(string(text), begin)
	g.Expect(found).To(BeTrue())
	_, after, found := strings.Cut(rest, end)
	g.Expect(found).To(BeTrue())
	want := before + begin + render() + end + after
	if *update {
		g.Expect(os.WriteFile(page, []byte(want), 0o644)).To(Succeed())
	}
	g.Expect(string(text)).To(Equal(want), "go test ./test/e2e -run TestThePageSaysWhatIsTested -update writes it anew")
}

// Each column of the four tables is in the table of this test, and each question asks for columns that are.
func TestEveryColumnHasItsQuestion(t *testing.T) {
	f := setup(t)
	rows, err := f.database.Query(`SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_name = ANY($1) AND NOT column_name = ANY($2) AND is_generated = 'NEVER'`, tables, envelope)
	f.Expect(err).NotTo(HaveOccurred())
	defer rows.Close()
	known, asked := map[string]bool{}, map[string]bool{}
	for _, c := range columns {
		known[c.table+"."+c.name] = true
	}
	for rows.Next() {
		var name string
		f.Expect(rows.Scan(&name)).To(Succeed())
		f.Expect(known).To(HaveKey(name))
	}
	f.Expect(rows.Err()).NotTo(HaveOccurred())
	for _, q := range questions {
		for _, c := range q.columns {
			f.Expect(known[c] || slices.Contains(envelope, c)).To(BeTrue(), "%s: %s", q.text, c)
			asked[c] = true
		}
	}
	for c := range known {
		f.Expect(asked).To(HaveKey(c), "no question needs it")
	}
}

func render() string {
	var b strings.Builder
	b.WriteString("\n## Questions, and the columns that answer them\n\n| question, or member of a report | columns |\n|---|---|\n")
	for _, q := range questions {
		answer := "none: it is made of the other members"
		if len(q.columns) > 0 {
			answer = "`" + strings.Join(q.columns, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", q.text, answer)
	}
	for _, table := range tables {
		fmt.Fprintf(&b, "\n## `%s`\n\n| column | empty | tested to be there in the last row of |\n|---|---|---|\n", table)
		for _, c := range columns {
			if c.table == table {
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.name, c.empty, endings(c.filled))
			}
		}
	}
	b.WriteString("\n")
	return b.String()
}

func endings(some []ending) string {
	switch {
	case len(some) == 0:
		return "none of these endings needs it"
	case len(some) == len(every):
		return "every ending"
	}
	var names []string
	for _, e := range every {
		if slices.Contains(some, e) {
			names = append(names, string(e))
		}
	}
	return strings.Join(names, ", ")
}
