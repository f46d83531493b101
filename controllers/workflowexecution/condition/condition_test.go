package condition_test

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
)

func deployment(replicas int64, status map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "generation": int64(2)},
		"spec": map[string]any{"replicas": replicas, "template": map[string]any{"spec": map[string]any{"containers": []any{
			map[string]any{"name": "app", "resources": map[string]any{"limits": map[string]any{"memory": "256Mi"}}},
		}}}},
		"status": status,
	}
}

func TestHoldsEvaluatesOverTheTarget(t *testing.T) {
	none, healthy := map[string]any{}, map[string]any{"availableReplicas": int64(3), "conditions": []any{map[string]any{"type": "Available", "status": "True"}}}
	for name, tc := range map[string]struct {
		expression string
		status     map[string]any
		holds      bool
		message    string
	}{
		"a counter that is there":         {"target.status.availableReplicas >= target.spec.replicas", healthy, true, ""},
		"a counter that is omitted is 0":  {"target.status.availableReplicas >= target.spec.replicas", none, false, "is false"},
		"an omitted counter equals 0":     {"target.status.unavailableReplicas == 0", none, true, ""},
		"and is still seen as omitted":    {"!has(target.status.unavailableReplicas)", none, true, ""},
		"without any status":              {"target.status.availableReplicas == 0", nil, true, ""},
		"a field nobody knows":            {"target.status.happiness > 1", healthy, false, "no such key: happiness"},
		"an alternative absorbs the gap":  {"target.status.happiness > 1 || target.spec.replicas == 3", healthy, true, ""},
		"a condition in a list":           {"target.status.conditions.exists(c, c.type == 'Available' && c.status == 'True')", healthy, true, ""},
		"numbers of two types":            {"target.spec.replicas >= 2.5", none, true, ""},
		"a quantity":                      {"quantity(target.spec.template.spec.containers[0].resources.limits.memory).compareTo(quantity('128Mi')) > 0", none, true, ""},
		"an optional field":               {"target.?status.?phase.orValue('none') == 'none'", none, true, ""},
		"a value that is not true, false": {"target.spec.replicas", none, false, "expected true or false"},
		"types that do not compare":       {"target.metadata.name > 3", none, false, "cannot be evaluated"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			c, err := condition.Compile(tc.expression)
			g.Expect(err).NotTo(HaveOccurred())
			holds, message, err := condition.NewLook(deployment(3, tc.status)).Holds(t.Context(), c)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(holds).To(Equal(tc.holds), message)
			g.Expect(message).To(ContainSubstring(tc.message))
		})
	}
}

func TestCompileSaysWhatIsWrong(t *testing.T) {
	for expression, expected := range map[string]string{
		"target.spec.replicas >=": "Syntax error",
		"deployment.spec":         "undeclared reference to 'deployment'",
		"1 + 1":                   "returns int, expected true or false",
		"'yes'":                   "returns string, expected true or false",
		strings.Repeat("(", 500):  "does not compile",
	} {
		_, err := condition.Compile(expression)
		NewWithT(t).Expect(err).To(MatchError(ContainSubstring(expected)))
	}
}

func TestHoldsLeavesTheTargetAlone(t *testing.T) {
	g := NewWithT(t)
	target := deployment(3, map[string]any{})
	c, err := condition.Compile("target.status.readyReplicas == 0")
	g.Expect(err).NotTo(HaveOccurred())
	holds, _, err := condition.NewLook(target).Holds(t.Context(), c)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(holds).To(BeTrue())
	g.Expect(target["status"]).To(BeEmpty())
}
