package workflowexecution

import (
	"net/http"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

var _ = Describe("An API server that is away", func() {
	It("is no failure of an attempt, until its time is over", func() {
		f := newFixture()
		p := f.start()
		d := f.deployment(template("web:2"))
		f.wire.answer = func(r *http.Request) *http.Response {
			if r.Method == http.MethodPatch && r.Header.Get("Impersonate-User") != "" {
				return refuse(r, http.StatusServiceUnavailable, "ServiceUnavailable")
			}
			return nil
		}
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}, within(10*time.Second))))
		for range 4 {
			_, _ = p.try(wfe)
		}
		live := f.get(wfe)
		Expect(live.Status.Steps[0].State).To(Equal(v1alpha1.StepRunning))
		_, err := p.try(wfe)
		Expect(err).To(MatchError(ContainSubstring("ServiceUnavailable")))
		Expect(f.get(wfe).ResourceVersion).To(Equal(live.ResourceVersion), "nothing is written while it is away")
		f.pass(10 * time.Second)
		ended := p.run(wfe)
		Expect(ended.Status.FailureReason).To(ContainSubstring("timed out after 10s"))
		Expect(ended.Status.Phase).To(Equal(v1alpha1.WorkflowFailed))
	})

	DescribeTable("leaves open whether a change was made, until the rollback looks", func(where death, undone int) {
		f := newFixture()
		p := f.start()
		d := f.deployment(template("web:2"))
		away := false
		f.wire.garble = where == afterWrite
		f.wire.answer = func(r *http.Request) *http.Response {
			if r.Header.Get("Impersonate-User") == "" || !away && (where == afterWrite || r.Method == http.MethodGet) {
				away = away || r.Method == http.MethodPatch && r.Header.Get("Impersonate-User") != ""
				return nil
			}
			away = true
			return refuse(r, http.StatusServiceUnavailable, "ServiceUnavailable")
		}
		wfe := f.workflow(d, steps(step("Scale", parameters{"replicas": "5"}, within(10*time.Second), onFailure(v1alpha1.FailureRollback))))
		for range 5 {
			_, _ = p.try(wfe) // until the patch has met the outage
		}
		Expect(f.wire.effects).To(HaveLen(undone))
		f.pass(10 * time.Second)
		_, err := p.try(wfe)
		Expect(err).NotTo(HaveOccurred())
		Expect(f.get(wfe).Status.Phase).To(Equal(v1alpha1.WorkflowRollingBack))

		f.wire.answer, f.wire.garble = nil, false
		f.wire.killAt(2, afterWrite) // the process dies after it has undone the step, and before it has said so
		for range 3 {
			_, _ = p.try(wfe)
		}
		f.wire.revive()
		ended := f.get(wfe)
		if !ended.Status.Phase.Final() {
			ended = f.start().run(wfe)
		}
		Expect(f.live(d).Spec.Replicas).To(HaveValue(BeEquivalentTo(3)))
		Expect(ended.Status.RollbacksPerformed).To(BeEquivalentTo(undone))
		Expect(ended.Status.Outcome).To(Equal("failure"))
		Expect(lastRecord(ended).StepsFailed).To(HaveValue(BeEquivalentTo(1)), "it failed, also when it was rolled back")
	},
		Entry("it was made", afterWrite, 1),
		Entry("it was not", beforeWrite, 0),
	)
})
