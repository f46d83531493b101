//go:build unix

package e2e

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"os/exec"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/migrations"
)

// holder is a client with the token of an account that may do this in the namespace, and nothing else.
func (f *fixture) holder(name string, rules ...rbacv1.PolicyRule) client.Client {
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	f.create(sa)
	f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Rules: rules})
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: f.namespace}}})
	token := &authenticationv1.TokenRequest{}
	f.Expect(f.client.SubResource("token").Create(ctx, sa, token)).To(Succeed())
	cfg := rest.AnonymousClientConfig(stack.Cluster.RESTConfig())
	cfg.BearerToken = token.Status.Token
	c, err := client.New(cfg, client.Options{Scheme: testenv.Scheme()})
	f.Expect(err).NotTo(HaveOccurred())
	return c
}

// forger may create children, and nothing else.
func (f *fixture) forger() client.Client {
	c := f.holder("forger", rbacv1.PolicyRule{APIGroups: []string{"holdfast.dev"}, Resources: []string{"aianalyses", "workflowexecutions", "notificationrequests"}, Verbs: []string{"create", "get"}})
	f.Eventually(func() error { // until its role is known
		return client.IgnoreNotFound(c.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "x"}, &v1alpha1.AIAnalysis{}))
	}).Should(Succeed())
	return c
}

// guessed are the metadata of a child, which anybody can work out who knows the request.
func guessed(rr *v1alpha1.RemediationRequest, part string, owned bool) metav1.ObjectMeta {
	sum := sha256.Sum256([]byte(rr.UID))
	m := metav1.ObjectMeta{Namespace: rr.Namespace, Name: rr.Name + "-" + hex.EncodeToString(sum[:4]) + "-" + part}
	if owned {
		m.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(rr, v1alpha1.GroupVersion.WithKind("RemediationRequest"))}
	}
	return m
}

func refTo(rr *v1alpha1.RemediationRequest) v1alpha1.RemediationRef {
	return v1alpha1.RemediationRef{Name: rr.Name, UID: rr.UID}
}

func autoApproved(rr *v1alpha1.RemediationRequest, owned bool) *v1alpha1.AIAnalysis {
	return &v1alpha1.AIAnalysis{ObjectMeta: guessed(rr, "analysis", owned), Spec: v1alpha1.AIAnalysisSpec{
		RemediationRef: refTo(rr), Signal: rr.Spec.Signal, Target: rr.Spec.Target, Approval: v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: ptr.To[int32](0)}}}
}

func harmless(rr *v1alpha1.RemediationRequest, meta metav1.ObjectMeta) *v1alpha1.WorkflowExecution {
	return &v1alpha1.WorkflowExecution{ObjectMeta: meta, Spec: v1alpha1.WorkflowExecutionSpec{
		RemediationRef: refTo(rr), WorkflowID: "rollout-undo", Target: rr.Spec.Target, Steps: []v1alpha1.WorkflowStep{{Name: "nothing", Action: "Wait"}}}}
}

func (f *fixture) rows(table, where string, args ...any) int {
	var n int
	f.Expect(f.database.QueryRow("SELECT count(*) FROM "+table+" WHERE "+where, args...).Scan(&n)).To(Succeed())
	return n
}

// notes are those of the Events with a reason that regard a resource.
func (f *fixture) notes(o client.Object, reason string) func() ([]string, error) {
	return testenv.Notes(ctx, f.client, o, reason)
}

// Whoever may create children gets past no approval, and fails nobody's request: neither with an owner reference (the policy) nor under the guessed name (the controller). An administrator, whom no
// policy stops, does not either.
func TestAChildThatAStrangerMakesDoesNotCount(t *testing.T) {
	f := setup(t)
	forger := f.forger()
	f.broken("cart")
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj() // mode Manual
	f.create(rr)

	// Nobody leads at the moment: the forger is first.
	f.Expect(forger.Create(ctx, autoApproved(rr, true))).To(MatchError(ContainSubstring("with the verb orchestrate")))
	f.create(autoApproved(rr, true)) // an administrator's
	f.manager(stack.Postgres.URL())
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationAwaitingApproval))
	f.Eventually(f.notes(rr, "ForeignChild")).Should(ConsistOf(ContainSubstring("spec.approval")))

	// The approval is awaited: a workflow in its place.
	f.Expect(forger.Create(ctx, harmless(rr, guessed(rr, "workflow", true)))).To(MatchError(ContainSubstring("with the verb orchestrate")))
	stranger := harmless(rr, guessed(rr, "workflow", false))
	f.Expect(forger.Create(ctx, stranger)).To(Succeed(), "it may make workflows by hand")
	f.Eventually(f.notes(rr, "ForeignChild")).Should(ContainElement(ContainSubstring("WorkflowExecution")))
	ended := func() v1alpha1.WorkflowPhase { f.read(stranger); return stranger.Status.Phase }
	f.Eventually(ended).Should(Satisfy(v1alpha1.WorkflowPhase.Final))
	f.Expect(f.phase(rr)()).To(Equal(v1alpha1.RemediationAwaitingApproval))

	f.drained()
	f.Expect(f.rows("orchestration_audit", "remediation_id = $1 AND event = 'ForeignChild'", string(rr.UID))).To(Equal(2))
	f.read(rr)
	f.Expect(rr.Status.Conditions).To(ContainElement(And(HaveField("Type", "ForeignChild"), HaveField("Status", metav1.ConditionTrue))))

	// A person decides on the analysis that counts, and the real workflow runs.
	f.decide(rr)
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationCompleted))
	f.read(rr)
	f.Expect(rr.Status.Outcome).To(Equal("remediated"))
	f.drained()
	f.Expect(f.rows("workflow_execution_audit", "source_name = $1 AND source_namespace = $2 AND final AND outcome = 'success'", rr.Status.Workflow, f.namespace)).To(Equal(1))
	f.whole()
}

// decide approves as the administrator.
func (f *fixture) decide(rr *v1alpha1.RemediationRequest) {
	f.read(rr)
	me := &authenticationv1.SelfSubjectReview{}
	f.create(me)
	decision, err := json.Marshal(map[string]any{"spec": map[string]any{"decision": map[string]string{"verdict": "Approved", "method": "api", "decidedBy": me.Status.UserInfo.Username}}})
	f.Expect(err).NotTo(HaveOccurred())
	a := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: rr.Status.Analysis}}
	f.Expect(f.client.Patch(ctx, a, client.RawPatch(types.MergePatchType, decision))).To(Succeed())
}

// Nobody writes into the trail of a remediation by naming its uid.
func TestAForeignRemediationRefWritesNowhere(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	forger := f.forger()
	victim := testenv.MakeRemediation(f.namespace, "victim").Obj()
	f.create(victim)
	decoy := testenv.MakeRemediation(f.namespace, "decoy").Obj()
	f.create(decoy)
	for _, name := range []string{"decoy", "nobody"} {
		ref := v1alpha1.RemediationRef{Name: name, UID: victim.UID}
		meta := metav1.ObjectMeta{Namespace: f.namespace, Name: "forged-" + name}
		a := &v1alpha1.AIAnalysis{ObjectMeta: meta, Spec: v1alpha1.AIAnalysisSpec{RemediationRef: ref, Signal: victim.Spec.Signal, Target: victim.Spec.Target}}
		w := harmless(victim, meta)
		w.Spec.RemediationRef = ref
		n := testenv.MakeNotification(f.namespace, meta.Name).Obj()
		n.Spec.RemediationRef = ref
		for table, o := range map[string]client.Object{"ai_analysis_audit": a, "workflow_execution_audit": w, "notification_audit": n} {
			f.Expect(forger.Create(ctx, o)).To(Succeed())
			f.Eventually(func() int {
				return f.rows(table, "source_uid = $1::uuid AND final AND phase = 'Failed' AND remediation_id = $1::text AND entry LIKE '%remediationRef%'", string(o.GetUID()))
			}).Should(Equal(1), "%s of %s", table, name)
			f.Expect(f.rows(table, "source_uid = $1", string(o.GetUID()))).To(Equal(1), "it did nothing")
			f.Expect(f.rows(table, "source_uid = $1 AND remediation_id = $2", string(o.GetUID()), string(victim.UID))).To(BeZero())
		}
	}
}

// A requester may ask and cancel. Its right to patch does not delete, neither by the finalizer nor by the garbage collector; and kubectl replace, by whomever, keeps the record.
func TestAPatchDeletesNothing(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	requester := f.holder("requester", rbacv1.PolicyRule{APIGroups: []string{"holdfast.dev"}, Resources: []string{"remediationrequests"}, Verbs: []string{"get", "list", "watch", "create", "patch"}})
	f.broken("cart")
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationAwaitingApproval))
	ghost := `{"metadata":{"finalizers":null,"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"ghost","uid":"00000000-0000-4000-8000-000000000000"}]}}`
	patch := client.RawPatch(types.MergePatchType, []byte(ghost))
	f.Eventually(func() error { return requester.Patch(ctx, rr.DeepCopy(), patch) }).Should(MatchError(ContainSubstring("holdfast-metadata")))
	f.Expect(requester.Delete(ctx, rr)).To(Satisfy(apierrors.IsForbidden))
	f.Expect(requester.Patch(ctx, rr.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
	f.read(rr)
	f.Expect(rr.Finalizers).To(ContainElement("holdfast.dev/outbox"))

	f.Eventually(func() error { // a trim of the relay may come between
		f.read(rr)
		manifest := rr.DeepCopy() // as git has it
		manifest.ObjectMeta = metav1.ObjectMeta{Namespace: rr.Namespace, Name: rr.Name, ResourceVersion: rr.ResourceVersion}
		manifest.Status = v1alpha1.RemediationRequestStatus{}
		return f.client.Update(ctx, manifest)
	}).Should(Succeed())
	f.read(rr)
	f.Expect(rr.Finalizers).To(ContainElement("holdfast.dev/outbox"))
	f.Expect(rr.Status.Phase).To(Equal(v1alpha1.RemediationAwaitingApproval))

	// Who may delete may do it by the garbage collector, too; the trail has its end then.
	f.Expect(f.client.Patch(ctx, rr.DeepCopy(), patch)).To(Succeed())
	f.Eventually(f.gone(rr)).Should(BeTrue())
	f.Expect(f.lastEvent("orchestration_audit", rr.UID)).To(Equal("Cancelled"))
	f.whole()
}

// verify is not content with a cluster that does not know the kinds.
func TestVerifyAfterTheKindsAreGone(t *testing.T) {
	f := setup(t)
	database, err := stack.Postgres.CreateDatabase(ctx, "kinds_are_gone")
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(migrations.Up(ctx, database, nil)).To(Succeed())
	f.database, err = sql.Open("pgx", database)
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.database.Close() })
	f.manager(database, "--namespaces="+f.namespace)
	rr := testenv.MakeRemediation(f.namespace, "cart").Auto(80).Obj()
	f.create(rr)
	f.Eventually(f.phase(rr)).Should(Satisfy(v1alpha1.RemediationPhase.Final))
	f.drained()
	cmd := exec.CommandContext(ctx, program, "verify", "-o", "json")
	for _, kind := range []string{"orchestration", "ai-decision", "execution", "notification"} {
		cmd.Args = append(cmd.Args, "--resource", kind+"=gone.v1alpha1.holdfast.dev")
	}
	cmd.Env = []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database}
	out, err := cmd.Output()
	f.Expect(err).To(HaveOccurred())
	var report struct {
		Verdict     string   `json:"verdict"`
		NotCompared []string `json:"notCompared"`
	}
	f.Expect(json.Unmarshal(out, &report)).To(Succeed())
	f.Expect(report.NotCompared).To(ContainElements("orchestration", "ai-decision"))
	f.Expect(report.Verdict).To(Equal("unknown"))
	f.Expect(cmd.ProcessState.ExitCode()).To(Equal(2))
}
