package examples

import (
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// audited runs the retrofitted project through what can go wrong.
func audited(t *testing.T, name, main string, s *subject) {
	p := copyProject(t, name)
	p.run("go", "build", "./...") // as it was
	p.retrofit()
	p.generate()
	p.build(main)
	p.define()
	kubeconfig := p.access()
	scenarios := map[string]func(*world){
		"outage": outage,
		"killed": killed,
		"finalizer stripped while the relay runs": strippedWatched,
		"finalizer stripped while nobody watches": strippedUnwatched,
	}
	if s.further != nil { // a record that is closed once it is settled needs no finalizer any more
		scenarios["finalizer stripped from a live resource"] = strippedAlive
	}
	for name, run := range scenarios {
		t.Run(name, func(t *testing.T) { run(newWorld(t, p, s, kubeconfig)) })
	}
}

// The operator goes on while the store is away, and the resource stays until its rows are there.
func outage(w *world) {
	w.operator()
	w.store(false)
	o := w.begin(w)
	w.waitSettled(o)
	_, entries := w.outbox(o)
	w.Expect(entries).To(BeNumerically(">", 0))
	w.Expect(env.Client.Delete(ctx, o)).To(Succeed())
	w.Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		g.Expect(o.Object).To(HaveKeyWithValue("status", HaveKeyWithValue("outbox", HaveKeyWithValue("closed", true))))
	}).Should(Succeed())
	w.Consistently(func() error { return env.Client.Get(ctx, client.ObjectKeyFromObject(o), o) }, "1s", testenv.Interval).Should(Succeed())

	w.store(true)
	w.gone(o)
	w.Expect(w.phases(o.GetUID())).To(Equal(w.trail))
	w.verified()
}

// The operator dies again and again, the first time with entries that the store does not have.
func killed(w *world) {
	m := w.operator()
	w.store(false)
	o := w.begin(w)
	w.waitSettled(o)
	w.kill(m)
	w.store(true)

	for n := range 4 {
		if w.further == nil {
			break
		}
		w.further(w, o, n)
		before := o.DeepCopy().Object["status"]
		m := w.operator()
		w.Eventually(func(g Gomega) {
			g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
			g.Expect(o.Object["status"]).NotTo(Equal(before))
		}).Should(Succeed())
		w.kill(m) // with the first write of the change, or a later one
	}
	w.operator()
	w.waitSettled(o)
	last, _ := w.outbox(o)
	w.Expect(env.Client.Delete(ctx, o)).To(Succeed())
	w.gone(o)
	phases := w.phases(o.GetUID())
	w.Expect(len(phases)).To(BeNumerically(">=", last))
	w.Expect(phases[len(phases)-1]).To(Equal(w.trail[len(w.trail)-1]))
	w.verified()
}

// The relay puts the finalizer back while the record is open.
func strippedAlive(w *world) {
	w.operator()
	o := w.begin(w)
	w.waitSettled(o)
	w.Expect(env.Client.Patch(ctx, o, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))).To(Succeed())
	w.Eventually(func(g Gomega) {
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
		g.Expect(o.GetFinalizers()).To(ContainElement("holdfast.dev/outbox"))
	}).Should(Succeed())
	w.Expect(env.Client.Delete(ctx, o)).To(Succeed())
	w.gone(o)
	w.verified()
}

// The resource vanishes while the store is away: the relay has what was in it.
func strippedWatched(w *world) {
	w.operator()
	w.store(false)
	o := w.begin(w)
	w.waitSettled(o)
	last, entries := w.outbox(o)
	w.Expect(entries).To(BeEquivalentTo(last), "nothing is durable yet")
	w.Expect(env.Vanish(ctx, o.DeepCopy())).To(Succeed())
	w.gone(o)
	w.store(true)
	w.Eventually(func() int { return len(w.phases(o.GetUID())) }).Should(BeNumerically(">=", last))
}

// The resource vanishes while no operator runs: its end is missing, and verify says so.
func strippedUnwatched(w *world) {
	m := w.operator()
	o := w.begin(w)
	w.waitSettled(o)
	last, _ := w.outbox(o)
	w.Eventually(func() int { return len(w.phases(o.GetUID())) }).Should(BeEquivalentTo(last))
	w.kill(m)
	w.Expect(env.Vanish(ctx, o.DeepCopy())).To(Succeed())
	code, output := w.verify()
	if w.further == nil { // its record had ended
		w.Expect(code).To(BeZero(), output)
		return
	}
	w.Expect(code).To(Equal(1), output)
	w.Expect(output).To(And(ContainSubstring("unfinished"), ContainSubstring(string(o.GetUID()))))
}
