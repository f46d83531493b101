package catalogue_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/cel-go/cel"
	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

// good parameters of every workflow.
var good = map[string]map[string]string{
	"rollout-undo":    {},
	"rollout-restart": {},
	"restart-pods":    {},
	"increase-memory": {"memoryLimit": "256Mi"},
	"scale":           {"replicas": "2"},
	"set-image":       {"image": "registry.example.com/shop/cart:1.4.2", "container": "app"},
}

func load(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEveryWorkflowRenders(t *testing.T) {
	g := NewWithT(t)
	c := load(t)
	g.Expect(c.IDs()).To(HaveLen(len(good)))
	for _, id := range c.IDs() {
		w, ok := c.Get(id)
		g.Expect(ok).To(BeTrue())
		plan, err := w.Render(good[id])
		g.Expect(err).NotTo(HaveOccurred(), id)
		g.Expect(plan.PostConditions).NotTo(BeEmpty(), id)
		waits := false
		for _, step := range plan.Steps {
			g.Expect(step.Timeout).NotTo(BeNil(), "%s/%s", id, step.Name)
			if step.Action == "WaitForRollout" || step.Action == "RestartPods" { // the target says how long these may stand still, and the request how long all may take
				g.Expect(step.Timeout.Hours()).To(BeEquivalentTo(720), "%s/%s", id, step.Name)
			} else {
				g.Expect(step.Timeout.Minutes()).To(BeNumerically("<=", 2), "%s/%s", id, step.Name)
			}
			g.Expect(step.OnFailure).NotTo(BeEmpty(), "%s/%s", id, step.Name)
			waits = waits || step.Action == "WaitForRollout"
			for key, value := range step.Parameters {
				g.Expect(string(value)).NotTo(ContainSubstring("${"), "%s/%s/%s", id, step.Name, key)
				g.Expect(len(value)).To(BeNumerically("<=", 1024), "%s/%s/%s", id, step.Name, key)
			}
		}
		g.Expect(waits).To(BeTrue(), "%s has no Wait for the target", id)
	}
}

func TestParametersAreSubstituted(t *testing.T) {
	g := NewWithT(t)
	w, _ := load(t).Get("increase-memory")

	plan, err := w.Render(map[string]string{"memoryLimit": "256Mi", "container": "app"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Steps[0].Parameters).To(Equal(map[string]v1alpha1.ParameterValue{"memoryLimit": "256Mi", "container": "app", "only": "increase"}))

	// An optional parameter without a value is left out, and what was rendered before stays as it was.
	second, err := w.Render(map[string]string{"memoryLimit": "1Gi"})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(second.Steps[0].Parameters).To(Equal(map[string]v1alpha1.ParameterValue{"memoryLimit": "1Gi", "only": "increase"}))
	g.Expect(plan.Steps[0].Parameters).To(HaveKeyWithValue("memoryLimit", v1alpha1.ParameterValue("256Mi")))

	undo, _ := load(t).Get("rollout-undo")
	plan, err = undo.Render(nil)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(plan.Steps[0].Parameters).To(HaveKeyWithValue("toRevision", v1alpha1.ParameterValue("0")), "the default")
}

func TestWrongParametersAreNamed(t *testing.T) {
	for name, c := range map[string]struct {
		workflow string
		params   map[string]string
		expected []string
	}{
		"missing":               {"increase-memory", nil, []string{"memoryLimit is missing"}},
		"empty":                 {"scale", map[string]string{"replicas": ""}, []string{"replicas is missing"}},
		"unknown":               {"rollout-restart", map[string]string{"force": "yes"}, []string{`"force" is not a parameter`, "expected none"}},
		"both":                  {"scale", map[string]string{"count": "3"}, []string{"replicas is missing", `"count" is not a parameter`, "expected replicas"}},
		"zero replicas":         {"scale", map[string]string{"replicas": "0"}, []string{`replicas is "0"`, "from 1 to 1000"}},
		"not a number":          {"scale", map[string]string{"replicas": "+2"}, []string{`replicas is "+2"`}},
		"negative quantity":     {"increase-memory", map[string]string{"memoryLimit": "-1Gi"}, []string{`memoryLimit is "-1Gi"`}},
		"not a quantity":        {"increase-memory", map[string]string{"memoryLimit": "a lot"}, []string{`memoryLimit is "a lot"`}},
		"container of a prompt": {"increase-memory", map[string]string{"memoryLimit": "1Gi", "container": "app; rm -rf /"}, []string{"container is"}},
		"image with a space":    {"set-image", map[string]string{"image": "nginx --privileged"}, []string{"image is"}},
		"half a byte":           {"increase-memory", map[string]string{"memoryLimit": "512m"}, []string{`memoryLimit is "512m", expected whole bytes from 4Mi to 32Ti, as in 512Mi`}},
		"bytes for mebibytes":   {"increase-memory", map[string]string{"memoryLimit": "1024"}, []string{`memoryLimit is "1024", expected whole bytes from 4Mi`}},
		"more than there is":    {"increase-memory", map[string]string{"memoryLimit": "7Ei"}, []string{`memoryLimit is "7Ei", expected whole bytes from 4Mi to 32Ti`}},
		"costly quantity":       {"increase-memory", map[string]string{"memoryLimit": "1e100000000"}, []string{`memoryLimit is "1e100000000", expected whole bytes from 4Mi to 32Ti, as in 512Mi`}},
		"slow quantity":         {"increase-memory", map[string]string{"memoryLimit": "1e-100000000"}, []string{`memoryLimit is "1e-100000000"`}},
		"long quantity":         {"increase-memory", map[string]string{"memoryLimit": strings.Repeat("9", 1<<20)}, []string{`memoryLimit is "` + strings.Repeat("9", 64) + `", expected`}},
		"long selector":         {"restart-pods", map[string]string{"selector": strings.Repeat("a=b,", 1<<18) + "a=b"}, []string{`selector is "a=b,a=b`, "of at most 1024 bytes"}},
		"bad selector":          {"restart-pods", map[string]string{"selector": "a=b=c"}, []string{"selector is"}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			w, ok := load(t).Get(c.workflow)
			g.Expect(ok).To(BeTrue())
			_, err := w.Render(c.params)
			g.Expect(err).To(MatchError(catalogue.ErrParameters))
			for _, text := range c.expected {
				g.Expect(err).To(MatchError(ContainSubstring(text)))
			}
		})
	}
}

func TestTheErrorDoesNotGrowWithTheParameters(t *testing.T) {
	g := NewWithT(t)
	params := map[string]string{}
	for i := range 100_000 {
		params[fmt.Sprintf("%s%d", strings.Repeat("n", 100), i)] = "x"
	}
	w, _ := load(t).Get("rollout-restart")
	_, err := w.Render(params)
	g.Expect(err).To(MatchError(And(ContainSubstring("is not a parameter"), ContainSubstring("99995 further names are not parameters"))))
	g.Expect(len(err.Error())).To(BeNumerically("<", 1000))
}

func TestACatalogueThatIsWrongIsRefused(t *testing.T) {
	const head = "workflows: [{id: a, title: t, description: d, kinds: [Deployment]"
	for name, c := range map[string]struct{ text, expected string }{
		"unknown field":      {"workflow: []", "unknown field"},
		"undeclared hole":    {head + `, steps: [{name: s, action: Scale, parameters: {replicas: "${replicas}"}}]}]`, "${replicas}, which is not declared"},
		"unused parameter":   {head + `, parameters: [{name: x, type: name, description: d}], steps: [{name: s, action: Scale}]}]`, `"x" is declared but no step uses`},
		"unknown type":       {head + `, parameters: [{name: x, type: text, description: d}], steps: [{name: s, action: Scale, parameters: {replicas: "${x}"}}]}]`, `has type "text"`},
		"wrong default":      {head + `, parameters: [{name: x, type: integer, min: 1, max: 2, default: "3", description: d}], steps: [{name: s, action: Scale, parameters: {replicas: "${x}"}}]}]`, `x is "3"`},
		"doubled step":       {head + `, steps: [{name: s, action: Scale}, {name: s, action: Wait}]}]`, `step name "s" is used twice`},
		"no steps":           {head + `}]`, "steps is empty"},
		"no kinds":           {"workflows: [{id: a, title: t, description: d, steps: [{name: s, action: Wait}]}]", "kinds is empty"},
		"id that is no name": {"workflows: [{id: A_b, title: t, description: d}]", `id is "A_b"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := catalogue.Parse([]byte(c.text))
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.expected)))
		})
	}
}

// Targets as the API server returns them, and whether the repair has helped.
var targets = map[string]struct {
	object string
	helped bool
}{
	"whole Deployment": {`{"kind":"Deployment","metadata":{"generation":3},"spec":{"replicas":2},
		"status":{"observedGeneration":3,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`, true},
	"no replica available: the API server leaves the field out": {`{"kind":"Deployment","metadata":{"generation":3},"spec":{"replicas":1},
		"status":{"observedGeneration":3,"replicas":1,"updatedReplicas":1,"unavailableReplicas":1}}`, false},
	"old pods are available, the new one crashes": {`{"kind":"Deployment","metadata":{"generation":3},"spec":{"replicas":2},
		"status":{"observedGeneration":3,"replicas":3,"updatedReplicas":1,"readyReplicas":2,"availableReplicas":2,"unavailableReplicas":1}}`, false},
	"an old pod is left over": {`{"kind":"Deployment","metadata":{"generation":3},"spec":{"replicas":1},
		"status":{"observedGeneration":3,"replicas":2,"updatedReplicas":1,"readyReplicas":1,"availableReplicas":1,"unavailableReplicas":1}}`, false},
	"controller has not seen the change": {`{"kind":"Deployment","metadata":{"generation":4},"spec":{"replicas":2},
		"status":{"observedGeneration":3,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`, false},
	"no status yet":     {`{"kind":"Deployment","metadata":{"generation":1},"spec":{"replicas":2},"status":{}}`, false},
	"whole StatefulSet": {`{"kind":"StatefulSet","metadata":{"generation":1},"spec":{"replicas":1},"status":{"observedGeneration":1,"replicas":1,"updatedReplicas":1,"availableReplicas":1}}`, true},
	"whole DaemonSet": {`{"kind":"DaemonSet","metadata":{"generation":1},"spec":{},
		"status":{"observedGeneration":1,"desiredNumberScheduled":1,"currentNumberScheduled":1,"updatedNumberScheduled":1,"numberAvailable":1,"numberMisscheduled":0,"numberReady":1}}`, true},
	"DaemonSet without an available pod": {`{"kind":"DaemonSet","metadata":{"generation":1},"spec":{},
		"status":{"observedGeneration":1,"desiredNumberScheduled":1,"currentNumberScheduled":1,"updatedNumberScheduled":1,"numberMisscheduled":0,"numberReady":0}}`, false},
}

// holds evaluates an expression as strictly as CEL does: a field that is missing is an error, not false.
func holds(g Gomega, expression string, target map[string]any) bool {
	env, err := cel.NewEnv(cel.Variable("target", cel.DynType))
	g.Expect(err).NotTo(HaveOccurred())
	ast, issues := env.Compile(expression)
	g.Expect(issues.Err()).NotTo(HaveOccurred(), expression)
	program, err := env.Program(ast)
	g.Expect(err).NotTo(HaveOccurred(), expression)
	out, _, err := program.Eval(map[string]any{"target": target})
	g.Expect(err).NotTo(HaveOccurred(), expression)
	result, ok := out.Value().(bool)
	g.Expect(ok).To(BeTrue(), expression)
	return result
}

func TestARepairThatDoesNotHelpIsNoticed(t *testing.T) {
	w, _ := load(t).Get("rollout-restart")
	plan, err := w.Render(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range targets {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			var target map[string]any
			g.Expect(json.Unmarshal([]byte(c.object), &target)).To(Succeed())
			all := true
			for _, condition := range plan.PostConditions {
				all = holds(g, condition.Expression, target) && all
			}
			g.Expect(all).To(Equal(c.helped), "post-conditions")
		})
	}
}

func TestPreConditionsLookBeforeTheyAct(t *testing.T) {
	g := NewWithT(t)
	w, _ := load(t).Get("rollout-undo")
	plan, err := w.Render(nil)
	g.Expect(err).NotTo(HaveOccurred())
	all := func(object string) bool {
		var target map[string]any
		g.Expect(json.Unmarshal([]byte(object), &target)).To(Succeed())
		result := true
		for _, condition := range plan.PreConditions {
			result = holds(g, condition.Expression, target) && result
		}
		return result
	}
	g.Expect(all(`{"kind":"Deployment","metadata":{"name":"cart"},"spec":{"replicas":1}}`)).To(BeTrue())
	g.Expect(all(`{"kind":"Deployment","metadata":{"name":"cart"},"spec":{"replicas":1,"paused":true}}`)).To(BeFalse())
	g.Expect(all(`{"kind":"Deployment","metadata":{"name":"cart"},"spec":{"replicas":0}}`)).To(BeFalse())
	g.Expect(all(`{"kind":"Deployment","metadata":{"name":"cart","deletionTimestamp":"2026-11-23T04:05:06Z"},"spec":{"replicas":1}}`)).To(BeFalse())
}

func TestAVersionIsThatOfTheEntry(t *testing.T) {
	g := NewWithT(t)
	text, err := os.ReadFile("workflows.yaml")
	g.Expect(err).NotTo(HaveOccurred())
	c := load(t)
	g.Expect(c.SHA256()).To(Equal(fmt.Sprintf("%x", sha256.Sum256(text))), "anybody can check it: sha256sum workflows.yaml")
	other, err := catalogue.Parse(bytes.Replace(text, []byte("id: scale"), []byte("id: scale-it"), 1))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(other.SHA256()).NotTo(Equal(c.SHA256()))
	versions := map[string]bool{}
	for _, id := range c.IDs() {
		w, _ := c.Get(id)
		again, known := other.Get(id)
		versions[w.Version()] = true
		g.Expect(w.Version()).To(HaveLen(64))
		if known {
			g.Expect(again.Version()).To(Equal(w.Version()), id)
		}
	}
	g.Expect(versions).To(HaveLen(len(c.IDs())))
}

func TestAPlanIsKnownByWhatItDoes(t *testing.T) {
	g := NewWithT(t)
	w, _ := load(t).Get("scale")
	plan := func() catalogue.Plan {
		p, err := w.Render(map[string]string{"replicas": "2"})
		g.Expect(err).NotTo(HaveOccurred())
		return p
	}
	g.Expect(w.Makes(plan())).To(BeTrue())
	for name, change := range map[string]func(*catalogue.Plan){
		"a step more": func(p *catalogue.Plan) {
			p.Steps = append(p.Steps, v1alpha1.WorkflowStep{Name: "more", Action: "Wait"})
		},
		"another action":    func(p *catalogue.Plan) { p.Steps[0].Action = "RestartPods" },
		"a parameter more":  func(p *catalogue.Plan) { p.Steps[0].Parameters["selector"] = "a=b" },
		"another condition": func(p *catalogue.Plan) { p.PostConditions[0].Expression = "true" },
		"no condition":      func(p *catalogue.Plan) { p.PostConditions = nil },
	} {
		p := plan()
		change(&p)
		g.Expect(w.Makes(p)).To(BeFalse(), name)
	}
	undo, _ := load(t).Get("rollout-undo")
	g.Expect(undo.Makes(plan())).To(BeFalse())
}
