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
)

// Every write of a workflow's life is a place to die: before it goes out, or after it was done and before its answer came back. These specs die at each of them, once,
// and let a new process finish.
var _ = Describe("A process that dies", func() {
	const mostWrites = 60

	setUp := func() (*fixture, *appsv1.Deployment) {
		f := newFixture()
		d := f.deployment(template("web:2"))
		f.replicaSet(d, 1, "web:1", "")
		rs := f.replicaSet(d, 2, "web:2", "")
		f.pod("a", nil, owned(rs, "ReplicaSet"))
		f.pod("b", nil, owned(rs, "ReplicaSet"))
		return f, d
	}
	// live runs a process until it dies at its nth write, or the workflow ends. It tells whether it died.
	live := func(f *fixture, wfe *v1alpha1.WorkflowExecution, nth int, lost bool) (died bool) {
		GinkgoHelper()
		f.wire.reset(nth, lost)
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
				f.pod(name, nil, nil)
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

	for _, lost := range []bool{false, true} {
		where := map[bool]string{false: "before a write", true: "after a write whose answer is lost"}[lost]

		It("repeats nothing and forgets nothing, "+where, func() {
			steps := []v1alpha1.WorkflowStep{step("RestartPods", nil), step("Scale", parameters{"replicas": "5"}), step("RolloutUndo", nil), step("RolloutRestart", nil),
				step("SetImage", parameters{"image": "web:9"}), step("Wait", parameters{"seconds": "1"})}
			var reference []string
			for nth := 1; ; nth++ {
				Expect(nth).To(BeNumerically("<", mostWrites))
				f, d := setUp()
				wfe := f.workflow(d, post("target.spec.replicas == 99"), steps...)
				died := live(f, wfe, nth, lost)
				replace(f)
				f.wire.reset(0, false)
				ended := f.start().run(wfe)

				at := fmt.Sprintf("write %d, lost: %t", nth, lost)
				expectChain(ended)
				Expect(ended.Status.Phase).To(Equal(v1alpha1.WorkflowFailed), at)
				Expect(ended.Status.RollbacksPerformed).To(BeEquivalentTo(3), at)
				Expect(ended.Status.Outcome).To(Equal("failure"), at)
				Expect(lastRecord(ended).RetriesPerformed).To(HaveValue(BeZero()), at)
				Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)), at)
				Expect(f.live(d).Spec.Template.Spec.Containers[0].Image).To(Equal("web:2"), at)
				Expect(count(f.wire.effects, http.MethodDelete, "/pods/a")).To(Equal(1), at)
				Expect(count(f.wire.effects, http.MethodDelete, "/pods/b")).To(Equal(1), at)
				Expect(count(f.wire.effects, http.MethodPatch, "deployments/web")).To(Equal(7), at) // four there, three back
				if reference == nil {
					reference = trail(ended)
				}
				Expect(trail(ended)).To(Equal(reference), at)
				if !died {
					break
				}
			}
			Expect(reference).To(HaveLen(3 + len(steps) + 1 + 3 + 1))
		})

		It("tells what was done when the workflow is cancelled meanwhile, "+where, func() {
			for nth := 1; ; nth++ {
				Expect(nth).To(BeNumerically("<", mostWrites))
				f, d := setUp()
				wfe := f.workflow(d, nil, step("Scale", parameters{"replicas": "5"}), step("RolloutUndo", nil), step("RestartPods", nil))
				died := live(f, wfe, nth, lost)
				f.cancel(wfe)
				before := len(f.wire.effects)
				f.wire.reset(0, false)
				p := f.start()
				ended := f.get(wfe)
				if !ended.Status.Phase.Final() {
					ended = p.run(wfe)
				}
				at := fmt.Sprintf("write %d, lost: %t: %v", nth, lost, trail(ended))
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

	It("two at once do every effect once", func() {
		f, d := setUp()
		wfe := f.workflow(d, nil, step("RestartPods", nil), step("Scale", parameters{"replicas": "5"}), step("RolloutUndo", nil))
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
		Expect(count(f.wire.effects, http.MethodDelete, "/pods/")).To(Equal(2))
		Expect(count(f.wire.effects, http.MethodPatch, "deployments/web")).To(Equal(2))
	})
})
