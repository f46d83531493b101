package workflowexecution

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

var _ = Describe("The account of a workflow", func() {
	var f *fixture
	var p *process
	var d *appsv1.Deployment
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
		d = f.deployment(template("web:2"))
		rs := f.replicaSet(d, 1, "web:1")
		f.pod("a", ownedBy(rs))
	})

	DescribeTable("that lacks rights makes the attempt fail, and changes nothing",
		func(action string, values parameters, missing string, rules ...rbacv1.PolicyRule) {
			f.grant("weak", rules...)
			live := p.run(f.workflow(d, steps(step(action, values, retries(1), onFailure(v1alpha1.FailureRollback))), as("weak")))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.Outcome).To(Equal("failure"))
			Expect(live.Status.FailureReason).To(And(ContainSubstring("system:serviceaccount:"+f.namespace+":weak"), ContainSubstring(missing)))
			Expect(live).To(controllertest.EndWithTrail("StepAttemptFailed/Executing", "StepFailed/Executing", "Failed/Failed/final"))
			// The remediation controller knows by this that nothing was changed.
			Expect(live.Status.Steps).To(HaveEach(And(HaveField("State", v1alpha1.StepFailed), HaveField("Previous", BeEmpty()), HaveField("Rollback", BeNil()))))
			Expect(live.Status.VerifyingTime).To(BeNil())
			Expect(live.Status.RollbacksPerformed).To(BeZero())
			Expect(f.wire.effects).To(BeEmpty())
			Expect(f.pods()).To(ConsistOf("a"))
		},
		Entry("Scale, nothing", "Scale", parameters{"replicas": "5"}, "cannot get resource"),
		Entry("Scale, read only", "Scale", parameters{"replicas": "5"}, "cannot patch resource", ruleFor("apps", "deployments", "get")),
		Entry("SetImage", "SetImage", parameters{"image": "web:3"}, "cannot patch resource", ruleFor("apps", "deployments", "get")),
		Entry("SetResources", "SetResources", parameters{"cpuLimit": "1"}, "cannot patch resource", ruleFor("apps", "deployments", "get")),
		Entry("RolloutRestart", "RolloutRestart", nil, "cannot patch resource", ruleFor("apps", "deployments", "get")),
		Entry("RolloutUndo, no history", "RolloutUndo", nil, "cannot list resource", ruleFor("apps", "deployments", "get", "patch")),
		Entry("RolloutUndo, read only", "RolloutUndo", nil, "cannot patch resource", ruleFor("apps", "deployments", "get"), ruleFor("apps", "replicasets", "get", "list")),
		Entry("RestartPods, no list", "RestartPods", nil, "cannot list resource", ruleFor("apps", "deployments", "get"), ruleFor("apps", "replicasets", "list")),
		Entry("RestartPods, no eviction", "RestartPods", nil, "cannot create resource \"pods/eviction\"", ruleFor("apps", "deployments", "get"), ruleFor("apps", "replicasets", "list"), ruleFor("", "pods", "list")),
		Entry("Wait", "Wait", parameters{"for": "true"}, "cannot get resource"),
	)

	It("that does not exist makes the attempt fail, also when a forgotten binding names it", func() {
		f.bind("ghost", ruleFor("apps", "deployments", "get", "patch"))
		live := p.run(f.workflow(d, steps(step("Scale", parameters{"replicas": "5"})), as("ghost")))
		Expect(live.Status.FailureReason).To(ContainSubstring(`service account "ghost" does not exist`))
		Expect(lastRecord(live).StepsFailed).To(HaveValue(BeEquivalentTo(1)))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
	})

	It("decides what pre-conditions can see", func() {
		f.grant("blind")
		live := p.run(f.workflow(d, steps(step("Scale", parameters{"replicas": "5"})), as("blind"), pre("target.spec.replicas == 3")))
		Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
		r := lastRecord(live)
		Expect(r.PreConditionsPassed).To(HaveValue(BeFalse()))
		Expect(r.ValidationResults[0].Message).To(ContainSubstring("forbidden"))
		Expect(r.StepsExecuted).To(ConsistOf(And(HaveField("Status", "failure"), HaveField("Attempts", BeEquivalentTo(1)), HaveField("Message", ContainSubstring("forbidden")))))
	})

	It("may get its rights while the workflow tries", func() {
		f.grant("late")
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}, retries(1))), as("late"))
		p.drive(wfe)
		role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "late"}}
		Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(role), role)).To(Succeed())
		role.Rules = []rbacv1.PolicyRule{ruleFor("apps", "deployments", "get", "patch")}
		Expect(env.Client.Update(f.ctx, role)).To(Succeed())
		Eventually(func(g Gomega) { // the authorizer reads roles from its own cache
			c, err := p.accounts.client(f.namespace, "late")
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(c.Get(f.ctx, client.ObjectKeyFromObject(d), &appsv1.Deployment{})).To(Succeed())
		}).WithTimeout(testenv.Timeout).Should(Succeed())
		Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
	})

	It("may not read beyond its namespace: a target lives in one", func() {
		wfe := f.workflow(namespaceOf(f), steps(step("Wait", parameters{"for": "true"})))
		Expect(p.run(wfe).Status.FailureReason).To(ContainSubstring("expected a namespaced kind"))
	})

	It("is all that the controller acts with: it needs the verb impersonate on it, and no rights of its own on the target", func() {
		rules := []rbacv1.PolicyRule{
			ruleFor("holdfast.dev", "workflowexecutions", "get", "list", "watch", "patch"),
			ruleFor("holdfast.dev", "workflowexecutions/status", "get", "update"),
			ruleFor("", "serviceaccounts", "get", "impersonate"),
			ruleFor("", "namespaces", "get"),
			ruleFor("holdfast.dev", "remediationrequests", "get"),
		}
		name := "manager-" + f.namespace
		Expect(env.Client.Create(f.ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules})).To(Succeed())
		Expect(env.Client.Create(f.ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: f.namespace, Name: "manager"}}})).To(Succeed())
		token := tokenOf(f, "manager")
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}), step("RestartPods"), step("RolloutUndo")))
		manager := f.startAs(&rest.Config{Host: env.Config.Host, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: env.Config.CAData, CAFile: env.Config.CAFile}})
		Expect(manager.run(wfe).Status.Outcome).To(Equal("success"))
	})
})
