package workflowexecution

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
)

// A process can die at every write of a workflow's life: before the write is sent, or after it was done and before its answer came back. These specs die at each of them, once,
// and let a new process finish.
var _ = Describe("A process that dies", func() {
	const maxWrites = 60

	setUp := func() (*fixture, *appsv1.Deployment) {
		f := newFixture()
		d := f.deployment(template("web:2"))
		f.replicaSet(d, 1, "web:1")
		rs := f.replicaSet(d, 2, "web:2")
		f.pod("a", ownedBy(rs))
		f.pod("b", ownedBy(rs))
		return f, d
	}
	// live runs a process until it dies at its nth write, or the workflow ends. It reports whether it died.
	live := func(f *fixture, wfe *v1alpha1.WorkflowExecution, nth int, where death) (died bool) {
		GinkgoHelper()
		f.wire.killAt(nth, where)
		p := f.start()
		for range 200 {
			res, err := p.try(wfe)
			if f.wire.dead {
				return true
			}
			Expect(err).NotTo(HaveOccurred())
			if f.get(wfe).Status.Phase.Final() {
				return false
			}
			f.pass(res.RequeueAfter)
		}
		Fail("the workflow does not end")
		return false
	}
	// replace makes, under the same names, the pods that were deleted, as a StatefulSet would.
	replace := func(f *fixture) {
		GinkgoHelper()
		for _, name := range []string{"a", "b"} {
			if there := f.pods(); !strings.Contains(strings.Join(there, " "), name) {
				f.pod(name)
			}
		}
	}
	count := func(effects []call, method, part string) (n int) {
		for _, e := range effects {
			if e.method == method && strings.Contains(e.path+e.body, part) {
				n++
			}
		}
		return n
	}

	for _, where := range []death{beforeWrite, afterWrite} {
		It(fmt.Sprintf("%s repeats nothing and loses nothing", where), func() {
			all := []v1alpha1.WorkflowStep{step("RestartPods"), step("Scale", parameters{"replicas": "5"}), step("RolloutUndo"), step("RolloutRestart"),
				step("SetImage", parameters{"image": "web:9"}), step("Wait", parameters{"seconds": "1"})}
			var reference []string
			for nth := 1; ; nth++ {
				Expect(nth).To(BeNumerically("<", maxWrites))
				f, d := setUp()
				wfe := f.workflow(d, steps(all...), post("target.spec.replicas == 99"))
				died := live(f, wfe, nth, where)
				replace(f)
				f.wire.revive()
				ended := f.start().run(wfe)

				at := fmt.Sprintf("write %d", nth)
				expectChain(ended)
				Expect(ended.Status.Phase).To(Equal(v1alpha1.WorkflowFailed), at)
				Expect(ended.Status.RollbacksPerformed).To(BeEquivalentTo(3), at)
				Expect(ended.Status.Outcome).To(Equal("failure"), at)
				Expect(lastRecord(ended).RetriesPerformed).To(HaveValue(BeZero()), at)
				Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)), at)
				Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"), at)
				Expect(count(f.wire.effects, http.MethodPost, "/pods/a/eviction")).To(Equal(1), at)
				Expect(count(f.wire.effects, http.MethodPost, "/pods/b/eviction")).To(Equal(1), at)
				Expect(count(f.wire.effects, http.MethodPatch, "deployments/web")).To(Equal(7), at) // four there, three back
				if reference == nil {
					reference = controllertest.Trail(ended)
				}
				Expect(controllertest.Trail(ended)).To(Equal(reference), at)
				if !died {
					break
				}
			}
			Expect(reference).To(HaveLen(3 + len(all) + 1 + 3 + 1))
		})

		It(fmt.Sprintf("%s records what was done when the workflow is cancelled meanwhile", where), func() {
			for nth := 1; ; nth++ {
				Expect(nth).To(BeNumerically("<", maxWrites))
				f, d := setUp()
				wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}), step("RolloutUndo"), step("RestartPods")))
				died := live(f, wfe, nth, where)
				f.cancel(wfe)
				before := len(f.wire.effects)
				f.wire.revive()
				p := f.start()
				ended := f.get(wfe)
				if !ended.Status.Phase.Final() {
					ended = p.run(wfe)
				}
				at := fmt.Sprintf("write %d: %v", nth, controllertest.Trail(ended))
				expectChain(ended)
				Expect(f.wire.effects).To(HaveLen(before), "nothing is begun after a cancellation; "+at)
				done := map[string]bool{}
				for _, s := range lastRecord(ended).StepsExecuted {
					done[s.Name] = s.Status == "success"
				}
				Expect(done["Scale"]).To(Equal(*f.live(d).Spec.Replicas == 5), at)
				Expect(done["RolloutUndo"]).To(Equal(f.live(d).Spec.Template.Spec.Containers[0].Image == "web:1"), at)
				Expect(done["RestartPods"]).To(Equal(len(f.pods()) == 0), at)
				if !died {
					break
				}
			}
		})
	}

	It("goes on with the pods that a disruption budget has kept, and evicts none twice", func() {
		for nth := 1; ; nth++ {
			Expect(nth).To(BeNumerically("<", maxWrites))
			f, d := setUp()
			f.makeReady("a", "b")
			pdb := f.budget("web")
			wfe := f.workflow(d, steps(step("RestartPods"), step("Scale", parameters{"replicas": "5"})))
			f.wire.killAt(nth, []death{beforeWrite, afterWrite}[nth%2])
			p, died := f.start(), false
			for range 100 {
				f.permit(pdb, 1) // what the disruption controller does when the next pod is ready
				res, err := p.try(wfe)
				if f.wire.dead {
					died = true
					f.wire.revive()
					p = f.start()
					continue
				}
				Expect(err).NotTo(HaveOccurred())
				if f.get(wfe).Status.Phase.Final() {
					break
				}
				f.pass(res.RequeueAfter)
			}
			ended := f.get(wfe)
			at := fmt.Sprintf("write %d: %v", nth, controllertest.Trail(ended))
			expectChain(ended)
			Expect(ended.Status.Outcome).To(Equal("success"), at)
			Expect(ended.Status.Steps[0].Attempt).To(BeEquivalentTo(1), at)
			Expect(count(f.wire.effects, http.MethodPost, "/pods/a/eviction")).To(Equal(1), at)
			Expect(count(f.wire.effects, http.MethodPost, "/pods/b/eviction")).To(Equal(1), at)
			Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(5)), at)
			if !died {
				break
			}
		}
	})

	It("does not repeat the effects of another one that runs at the same time", func() {
		f, d := setUp()
		wfe := f.workflow(d, steps(step("RestartPods"), step("Scale", parameters{"replicas": "5"}), step("RolloutUndo")))
		one, two := f.start(), f.start()
		done := make(chan error, 2)
		for _, p := range []*process{one, two} {
			go func() {
				for range 200 {
					if _, err := p.try(wfe); err != nil {
						done <- err
						return
					}
					if live := f.get(wfe); live.Status.Phase.Final() {
						break
					}
				}
				done <- nil
			}()
		}
		for range 2 {
			Eventually(done).WithTimeout(30 * time.Second).Should(Receive(Succeed()))
		}
		ended := f.get(wfe)
		expectChain(ended)
		Expect(ended.Status.Outcome).To(Equal("success"))
		Expect(count(f.wire.effects, http.MethodPost, "/eviction")).To(Equal(2))
		Expect(count(f.wire.effects, http.MethodPatch, "deployments/web")).To(Equal(2))
	})
})
