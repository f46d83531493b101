package workflowexecution

import (
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
)

var _ = Describe("An action", func() {
	var f *fixture
	var p *process
	BeforeEach(func() {
		f = newFixture()
		p = f.start()
	})

	// never makes the workflow roll back.
	never := post("false")

	DescribeTable("that is written wrong fails its attempt without a retry, and says what was expected",
		func(action string, values parameters, expected string) {
			live := p.run(f.workflow(f.deployment(template("web:2")), steps(step(action, values, retries(3), within(time.Minute)))))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(expected))
			Expect(live).To(controllertest.EndWithTrail("StepFailed/Executing", "Failed/Failed/final"))
			Expect(f.wire.effects).To(BeEmpty())
		},
		Entry("unknown action", "Reboot", nil, `action is "Reboot", expected RestartPods, RolloutRestart`),
		Entry("unknown parameter", "Scale", parameters{"replicas": "2", "replica": "3"}, `parameter "replica" of Scale is unknown, expected replicas`),
		Entry("missing", "Scale", nil, `parameter "replicas" of Scale is missing, expected a whole number`),
		Entry("negative", "Scale", parameters{"replicas": "-1"}, `parameter "replicas" of Scale is "-1", expected a whole number from 0`),
		Entry("not a number", "RolloutUndo", parameters{"toRevision": "last"}, `parameter "toRevision" of RolloutUndo is "last"`),
		Entry("selector", "RestartPods", parameters{"selector": "a in b"}, `parameter "selector" of RestartPods is "a in b", expected a label selector`),
		Entry("quantity", "SetResources", parameters{"memoryLimit": "lots"}, `parameter "memoryLimit" of SetResources is "lots", expected whole bytes from 4Mi to 32Ti, as in 512Mi`),
		Entry("quantity that is costly to compare", "SetResources", parameters{"memoryLimit": "1e100000000"}, `parameter "memoryLimit" of SetResources is "1e100000000", expected whole bytes from 4Mi to 32Ti, as in 512Mi`),
		Entry("quantity that is costly to parse", "SetResources", parameters{"cpuRequest": "1e-100000000"}, `parameter "cpuRequest" of SetResources is "1e-100000000", expected processors from 1m to 4096, in steps of 1m`),
		Entry("half a byte", "SetResources", parameters{"memoryLimit": "512m"}, `parameter "memoryLimit" of SetResources is "512m", expected whole bytes from 4Mi to 32Ti, as in 512Mi`),
		Entry("bytes for mebibytes", "SetResources", parameters{"memoryRequest": "1024"}, `parameter "memoryRequest" of SetResources is "1024", expected whole bytes from 4Mi`),
		Entry("more memory than there is", "SetResources", parameters{"memoryLimit": "7Ei"}, `parameter "memoryLimit" of SetResources is "7Ei", expected whole bytes from 4Mi to 32Ti`),
		Entry("half a thousandth of a processor", "SetResources", parameters{"cpuLimit": "500u"}, `parameter "cpuLimit" of SetResources is "500u", expected processors from 1m to 4096`),
		Entry("more processors than there are", "SetResources", parameters{"cpuLimit": "512Mi"}, `parameter "cpuLimit" of SetResources is "512Mi", expected processors from 1m to 4096`),
		Entry("other than increase", "SetResources", parameters{"memoryLimit": "1Gi", "only": "decrease"}, `parameter "only" of SetResources is "decrease", expected increase`),
		Entry("contradiction", "SetResources", parameters{"memoryLimit": "1Gi", "memoryRequest": "2Gi"}, `parameter "memoryRequest" of SetResources is "2Gi", expected at most the limit of 1Gi`),
		Entry("nothing to set", "SetResources", parameters{"container": "app"}, "expected at least one of memoryLimit"),
		Entry("unknown container", "SetImage", parameters{"container": "sidecar", "image": "x:1"}, `parameter "container" is "sidecar", expected one of`),
		Entry("image", "SetImage", parameters{"image": "web: 3"}, `parameter "image" of SetImage is "web: 3"`),
		Entry("nothing to wait for", "Wait", nil, `parameter "for" of Wait is missing`),
		Entry("expression", "Wait", parameters{"for": "target.spec.replicas >"}, "Syntax error"),
		Entry("expression that may cost too much", "Wait", parameters{"for": "target.a.all(a, target.b.all(b, target.c.all(c, target.d.all(d, a + b == c + d))))"}, "by Kubernetes' estimate, expected at most 10000000"),
		Entry("expression with a costly quantity", "Wait", parameters{"for": `quantity("1e100000000").isGreaterThan(quantity("1"))`}, `does not compile: quantity is "1e100000000", expected`),
		Entry("longer than the timeout", "Wait", parameters{"seconds": "61"}, `parameter "seconds" of Wait is "61", expected at most the step's timeout of 1m0s`),
		Entry("no such revision", "RolloutUndo", parameters{"toRevision": "7"}, `parameter "toRevision" is "7", expected a revision in the history of Deployment`),
		Entry("no history", "RolloutUndo", nil, "no earlier revision"),
	)

	It("refuses a kind that cannot do it", func() {
		live := p.run(f.workflow(f.daemonSet(), steps(step("Scale", parameters{"replicas": "2"}))))
		Expect(live.Status.Steps[0].Message).To(ContainSubstring("target is a DaemonSet"))
	})

	Describe("Scale", func() {
		It("changes the replicas, and says what they were", func() {
			live := p.run(f.workflow(f.statefulSet(), steps(step("Scale", parameters{"replicas": "0"}))))
			Expect(live.Status.Steps[0].Previous).To(Equal(map[string]string{"replicas": "3"}))
			Expect(live.Status.EffectivenessScore).To(HaveValue(BeEquivalentTo(70)), "nothing was verified")
		})

		It("leaves a target that is as wanted", func() {
			live := p.run(f.workflow(f.deployment(template("web:2")), steps(step("Scale", parameters{"replicas": "3"}))))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowCompleted))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "left the target unchanged")))
			Expect(lastRecord(live).AdaptiveAdjustments).To(HaveLen(1))
			Expect(f.wire.effects).To(BeEmpty())
		})
	})

	Describe("SetImage", func() {
		It("picks the annotated container, says so, and can be undone", func() {
			t := template("web:2", "sidecar")
			t.Annotations = map[string]string{"kubectl.kubernetes.io/default-container": "sidecar"}
			d := f.deployment(t)
			live := p.run(f.workflow(d, steps(step("SetImage", parameters{"image": "proxy:3"}))))
			Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"))
			Expect(f.live(d).Spec.Template.Spec.Containers[1].Image).To(Equal("proxy:3"))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "chose container sidecar")))

			Expect(p.run(f.workflow(d, steps(step("SetImage", parameters{"container": "app", "image": "web:3"})), never)).Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"))
			Expect(f.live(d).Spec.Template.Spec.Containers[1].Image).To(Equal("proxy:3"))
		})
	})

	Describe("SetResources", func() {
		It("sets what is named, and lets the request follow a lower limit", func() {
			d := f.deployment(limited("512Mi", "256Mi"))
			live := p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "128Mi", "cpuLimit": "1500m"}))))
			r := f.live(d).Spec.Template.Spec.Containers[0].Resources
			Expect(r.Limits.Memory().String()).To(Equal("128Mi"))
			Expect(r.Limits.Cpu().String()).To(Equal("1500m"))
			Expect(r.Requests.Memory().String()).To(Equal("128Mi"))
			Expect(r.Requests.Cpu().String()).To(Equal("100m"))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "lowered the memory request from 256Mi to 128Mi")))
		})

		It("lets the limit follow a higher request", func() {
			d := f.deployment(limited("512Mi", "256Mi"))
			live := p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryRequest": "1024Mi"}))))
			Expect(f.live(d).Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String()).To(Equal("1Gi"))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "raised the memory limit from 512Mi to 1Gi")))
		})

		It("restores exactly what was there, also nothing", func() {
			d := f.deployment(template("web:2"))
			Expect(p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "1Gi"})), never)).Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(f.live(d).Spec.Template.Spec.Containers[0].Resources).To(Equal(corev1.ResourceRequirements{}))
		})

		It("does not compute with a live quantity that is too costly", func() {
			d := f.deployment(limited("1e100", "256Mi"))
			live := p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "1Gi"}))))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(`read resources.limits.memory: quantity is "10e99", expected a quantity as in 512Mi`), "the API server takes 1e100, and writes it so")
			Expect(f.wire.effects).To(BeEmpty())
		})

		DescribeTable("that may only increase refuses what is no increase", func(resources corev1.ResourceRequirements, values parameters, expected string) {
			t := template("web:2")
			t.Spec.Containers[0].Resources = resources
			values["only"] = "increase"
			d := f.deployment(t)
			live := p.run(f.workflow(d, steps(step("SetResources", values, retries(3)))))
			Expect(live.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(expected))
			Expect(live.Status.Steps[0].Attempt).To(BeEquivalentTo(1))
			Expect(f.wire.effects).To(BeEmpty())
		},
			Entry("less", limited("512Mi", "256Mi").Spec.Containers[0].Resources, parameters{"memoryLimit": "256Mi"}, `parameter "memoryLimit" of SetResources is "256Mi", expected more than the current 512Mi`),
			Entry("the same", limited("1Gi", "256Mi").Spec.Containers[0].Resources, parameters{"memoryLimit": "1024Mi"}, `is "1Gi", expected more than the current 1Gi`),
			Entry("a first limit", corev1.ResourceRequirements{}, parameters{"memoryLimit": "1Gi"}, `is "1Gi", but the container has no limit`),
			Entry("a lower request", limited("512Mi", "256Mi").Spec.Containers[0].Resources, parameters{"cpuRequest": "50m"}, `parameter "cpuRequest" of SetResources is "50m", expected more than the current 100m`),
		)

		It("that may only increase does", func() {
			d := f.deployment(limited("512Mi", "256Mi"))
			Expect(p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "513Mi", "only": "increase"})))).Status.Outcome).To(Equal("success"))
			Expect(f.live(d).Spec.Template.Spec.Containers[0].Resources.Limits.Memory().String()).To(Equal("513Mi"))
		})

		It("finds init containers and sidecars by their name, and restores them", func() {
			t := template("web:2")
			always := corev1.ContainerRestartPolicyAlways
			t.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: "web:2"}, {Name: "proxy", Image: "proxy:1", RestartPolicy: &always}}
			d := f.deployment(t)
			limit := func(i int) string {
				return f.live(d).Spec.Template.Spec.InitContainers[i].Resources.Limits.Memory().String()
			}
			live := p.run(f.workflow(d, steps(step("SetResources", parameters{"container": "migrate", "memoryLimit": "1Gi"}))))
			Expect(live.Status.Outcome).To(Equal("success"))
			Expect(limit(0)).To(Equal("1Gi"))
			live = p.run(f.workflow(d, steps(step("SetResources", parameters{"container": "proxy", "memoryLimit": "64Mi"}), step("SetImage", parameters{"container": "proxy", "image": "proxy:2"})), never))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(2))
			Expect(f.wire.effects).To(HaveLen(5))
			Expect(limit(1)).To(Equal("0"))
			Expect(f.live(d).Spec.Template.Spec.InitContainers[1].Image).To(Equal("proxy:1"))
			live = p.run(f.workflow(d, steps(step("SetResources", parameters{"container": "istio-proxy", "memoryLimit": "64Mi"}))))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(`parameter "container" is "istio-proxy", expected one of Deployment ` + f.namespace + "/web: app, migrate, proxy"))
		})

		It("refuses more than the whole pod may have", func() {
			t := limited("256Mi", "128Mi")
			t.Spec.Resources = &corev1.ResourceRequirements{Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("512Mi")}}
			live := p.run(f.workflow(f.deployment(t), steps(step("SetResources", parameters{"memoryLimit": "1Gi"}))))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(`parameter "memoryLimit" of SetResources is "1Gi", expected at most the limit of the whole pod, 512Mi`))
			Expect(f.wire.effects).To(BeEmpty())
		})

		It("takes equal quantities for equal", func() {
			d := f.deployment(limited("1Gi", "256Mi"))
			Expect(p.run(f.workflow(d, steps(step("SetResources", parameters{"memoryLimit": "1024Mi"})))).Status.Outcome).To(Equal("success"))
			Expect(f.wire.effects).To(BeEmpty())
		})
	})

	Describe("RolloutRestart", func() {
		It("starts a rollout once, and has nothing to undo", func() {
			d := f.deployment(template("web:2"))
			live := p.run(f.workflow(d, steps(step("RolloutRestart")), never))
			Expect(f.live(d).Spec.Template.Annotations).To(HaveKey("kubectl.kubernetes.io/restartedAt"))
			Expect(live.Status.RollbacksPerformed).To(BeZero())
			Expect(live).To(controllertest.EndWithTrail("StepCompleted/Verifying", "Failed/Failed/final"))
		})

		It("refuses a paused Deployment, and tries again", func() {
			d := f.deployment(template("web:2"))
			f.pause(d)
			wfe := f.workflow(d, steps(step("RolloutRestart", retries(1))))
			p.drive(wfe)
			Expect(f.get(wfe).Status.Steps[0].Message).To(ContainSubstring("is paused, resume it first"))
			f.resume(d)
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("works on a DaemonSet", func() {
			Expect(p.run(f.workflow(f.daemonSet(), steps(step("RolloutRestart")))).Status.Outcome).To(Equal("success"))
			Expect(f.wire.effects).To(HaveLen(1))
		})
	})

	Describe("RolloutUndo", func() {
		image := func(d *appsv1.Deployment) string { return f.live(d).Spec.Template.Spec.Containers[0].Image }

		It("goes to the previous revision with its change cause, and back again", func() {
			d := f.deployment(template("web:3"))
			f.replicaSet(d, 1, "web:1")
			f.replicaSet(d, 2, "web:2", because("the good one"))
			f.replicaSet(d, 3, "web:3")
			live := p.run(f.workflow(d, steps(step("RolloutUndo", parameters{"toRevision": "0"}))))
			Expect(image(d)).To(Equal("web:2"))
			Expect(f.live(d).Annotations).To(HaveKeyWithValue("kubernetes.io/change-cause", "the good one"))
			Expect(f.live(d).Spec.Template.Labels).To(Equal(map[string]string{"app": "web"}), "the hash label stays behind")
			Expect(live.Status.Steps[0].Previous).To(Equal(map[string]string{"revision": "3", "name": "web-hash3"}))
			Expect(live.Status.Steps[0].Message).To(Equal("go from revision 3 (web-hash3) to revision 2 (web-hash2)"))

			Expect(p.run(f.workflow(d, steps(step("RolloutUndo", parameters{"toRevision": "1"})), never)).Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(image(d)).To(Equal("web:2"))
		})

		It("passes over a revision that was only a restart", func() {
			d := f.deployment(template("web:2"))
			f.replicaSet(d, 1, "web:1")
			f.replicaSet(d, 2, "web:2")
			p.run(f.workflow(d, steps(step("RolloutRestart"))))
			f.replicaSet(f.live(d), 3, "web:2")
			live := p.run(f.workflow(d, steps(step("RolloutUndo"))))
			Expect(image(d)).To(Equal("web:1"))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "skipped revision 2")))
		})

		It("can be undone after a restart", func() {
			d := f.deployment(template("web:2"))
			f.replicaSet(d, 1, "web:1")
			f.replicaSet(d, 2, "web:2")
			live := p.run(f.workflow(d, steps(step("RolloutUndo"), step("RolloutRestart")), never))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(image(d)).To(Equal("web:2"))
		})

		It("leaves a target that is at that revision already", func() {
			d := f.deployment(template("web:2"))
			f.replicaSet(d, 1, "web:1")
			f.replicaSet(d, 2, "web:2")
			live := p.run(f.workflow(d, steps(step("RolloutUndo", parameters{"toRevision": "2"}))))
			Expect(live.Status.Outcome).To(Equal("success"))
			Expect(live.Status.Adjustments).To(HaveLen(1))
			Expect(f.wire.effects).To(BeEmpty())
		})

		It("can be undone when the current template has no revision yet", func() {
			d := f.deployment(template("web:2"))
			f.replicaSet(d, 1, "web:1")
			live := p.run(f.workflow(d, steps(step("RolloutUndo")), never))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(image(d)).To(Equal("web:2"))
		})

		It("ignores revisions of others", func() {
			d := f.deployment(template("web:2"))
			other := d.DeepCopy()
			other.UID = "somebody-else"
			f.replicaSet(other, 9, "evil:1")
			f.replicaSet(d, 1, "web:1")
			p.run(f.workflow(d, steps(step("RolloutUndo"))))
			Expect(image(d)).To(Equal("web:1"))
		})

		It("does not parse a revision's quantity that is too costly", func() {
			s := f.statefulSet()
			f.controllerRevision(s, s.Spec.Template, 1, "web:1")
			f.controllerRevisionOf(s, 2, map[string]any{"spec": map[string]any{"containers": []any{
				map[string]any{"name": "app", "image": "web:2", "resources": map[string]any{"limits": map[string]any{"memory": "1e-100000000"}}}}}})
			live := p.run(f.workflow(s, steps(step("RolloutUndo"))))
			Expect(live.Status.Steps[0].Message).To(ContainSubstring(`read a pod template: spec.containers[0].resources.limits.memory: quantity is "1e-100000000", expected`))
			Expect(f.wire.effects).To(BeEmpty())
		})

		It("works on a StatefulSet and a DaemonSet", func() {
			s := f.statefulSet()
			f.controllerRevision(s, s.Spec.Template, 1, "web:1")
			f.controllerRevision(s, s.Spec.Template, 2, "web:2")
			live := p.run(f.workflow(s, steps(step("RolloutUndo"))))
			Expect(live.Status.Steps[0].Message).To(Equal("go from revision 2 (web-2) to revision 1 (web-1)"))
			Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(s), s)).To(Succeed())
			Expect(s.Spec.Template.Spec.Containers[0].Image).To(Equal("web:1"))

			d := f.daemonSet()
			f.controllerRevision(d, d.Spec.Template, 1, "web:1", called("ds-1"))
			f.controllerRevision(d, d.Spec.Template, 2, "web:2", called("ds-2"))
			live = p.run(f.workflow(d, steps(step("RolloutUndo", parameters{"toRevision": "1"})), never))
			Expect(live.Status.RollbacksPerformed).To(BeEquivalentTo(1))
			Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(d), d)).To(Succeed())
			Expect(d.Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"))
		})
	})

	Describe("RestartPods", func() {
		It("evicts the target's pods, and no others", func() {
			d := f.deployment(template("web:2"))
			rs := f.replicaSet(d, 1, "web:2")
			ours := ownedBy(rs)
			f.pod("a", ours)
			f.pod("b", labelled(map[string]string{"tier": "x"}), ours)
			f.pod("unowned")
			live := p.run(f.workflow(d, steps(step("RestartPods", parameters{"selector": "tier=x"}))))
			Expect(f.pods()).To(ConsistOf("a", "unowned"))
			Expect(live.Status.Steps[0].Message).To(Equal("restarted 1 pods"))
			Expect(live.Status.Steps[0].Intent).To(And(HaveLen(2), HaveKeyWithValue("uid", string(d.UID)), HaveKey("template")), "the pods' uids are dropped when nobody needs them any more")
			p.run(f.workflow(d, steps(step("RestartPods"))))
			Expect(f.pods()).To(ConsistOf("unowned"))
		})

		// Whoever owns the target chooses how many there are, and how large.
		It("lists pods and ReplicaSets in pages, and only their metadata", func() {
			d := f.deployment(template("web:2"))
			f.pod("a", ownedBy(f.replicaSet(d, 1, "web:2")))
			lists := 0
			f.wire.answer = func(r *http.Request) *http.Response {
				if r.Method == http.MethodGet && r.Header.Get("Impersonate-User") != "" && (strings.HasSuffix(r.URL.Path, "/pods") || strings.HasSuffix(r.URL.Path, "/replicasets")) {
					lists++
					Expect(r.URL.Query().Get("limit")).NotTo(BeEmpty(), r.URL.String())
					Expect(r.Header.Get("Accept")).To(ContainSubstring("PartialObjectMetadataList"))
				}
				return nil
			}
			p.run(f.workflow(d, steps(step("RestartPods"))))
			Expect(lists).To(BeNumerically(">=", 2))
			Expect(f.pods()).To(BeEmpty())
		})

		It("says when there are none", func() {
			live := p.run(f.workflow(f.deployment(template("web:2")), steps(step("RestartPods"))))
			Expect(live.Status.Outcome).To(Equal("success"))
			Expect(live.Status.Adjustments).To(ConsistOf(HaveField("Adjustment", "restarted no pods")))
		})

		It("finds the pods of a StatefulSet", func() {
			s := f.statefulSet()
			f.pod("web-0", ownedBy(s))
			p.run(f.workflow(s, steps(step("RestartPods"))))
			Expect(f.pods()).To(BeEmpty())
		})
	})

	Describe("Wait", func() {
		It("waits for a while, then for an expression", func() {
			d := f.deployment(template("web:2"))
			wfe := f.workflow(d, steps(step("Wait", parameters{"seconds": "5", "for": "target.status.availableReplicas >= 3"})))
			f.report(d, 3)
			Expect(p.drive(wfe).RequeueAfter).To(Equal(pollInterval))
			f.pass(4 * time.Second)
			Expect(p.drive(wfe).RequeueAfter).To(Equal(pollInterval))
			f.pass(time.Second)
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})

		It("works on any kind that the account may read", func() {
			f.bind("config-reader", ruleFor("", "configmaps", "get"))
			Expect(env.Client.Create(f.ctx, serviceAccount(f, "config-reader"))).To(Succeed())
			c := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "flag"}, Data: map[string]string{"on": "yes"}}
			Expect(env.Client.Create(f.ctx, c)).To(Succeed())
			wfe := f.workflow(c, steps(step("Wait", parameters{"for": "target.data.on == 'yes'"})), func(s *v1alpha1.WorkflowExecutionSpec) { s.ServiceAccountName = "config-reader" })
			Expect(p.run(wfe).Status.Outcome).To(Equal("success"))
		})
	})

	It("changes only what it means to change, while others change the rest", func() {
		d := f.deployment(template("web:2"))
		meddled := false
		f.wire.before(func() {
			if !meddled {
				meddled = true
				changed := f.live(d)
				changed.Labels = map[string]string{"owner": "somebody"}
				Expect(env.Client.Update(f.ctx, changed)).To(Succeed())
			}
		})
		Expect(p.run(f.workflow(d, steps(step("Scale", parameters{"replicas": "5"})))).Status.Outcome).To(Equal("success"))
		Expect(f.live(d).Labels).To(HaveKeyWithValue("owner", "somebody"))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(5)))
	})

	It("does not overwrite what somebody else decided after it was planned, and plans anew", func() {
		d := f.deployment(template("web:2"))
		meddled := false
		f.wire.before(func() {
			if !meddled {
				meddled = true
				scaleBy(f, d, 8)
			}
		})
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}, retries(1))), never)
		live := p.run(wfe)
		Expect(controllertest.Trail(live)[3]).To(Equal("StepAttemptFailed/Executing"))
		Expect(live.Status.Steps[0].Previous).To(HaveKeyWithValue("replicas", "8"))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(8)), "rolled back to what the other had decided")
	})

	It("notices that the target was made again", func() {
		d := f.deployment(template("web:2"))
		f.wire.before(func() {
			f.wire.before(nil)
			Expect(env.Client.Delete(f.ctx, d)).To(Succeed())
			f.deployment(template("web:2"))
		})
		live := p.run(f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}, retries(3)))))
		Expect(live.Status.FailureReason).To(ContainSubstring("it was deleted and created again"))
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
	})
})
