package workflowexecution

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

func TestWhatTheCatalogueHasCanBeRun(t *testing.T) {
	g := NewWithT(t)
	c, err := catalogue.Default()
	g.Expect(err).NotTo(HaveOccurred())
	examples := map[string]string{"memoryLimit": "256Mi", "replicas": "2", "image": "web:1"}
	for _, id := range c.IDs() {
		w, _ := c.Get(id)
		values := map[string]string{}
		for _, p := range w.Parameters {
			if example, ok := examples[p.Name]; ok && p.Required() {
				values[p.Name] = example
			}
		}
		plan, err := w.Render(values)
		g.Expect(err).NotTo(HaveOccurred(), id)
		for _, s := range plan.Steps {
			_, err := action.Parse(s)
			g.Expect(err).NotTo(HaveOccurred(), id+", step "+s.Name)
		}
		for _, e := range append(plan.PreConditions, plan.PostConditions...) {
			_, err := condition.Compile(e.Expression)
			g.Expect(err).NotTo(HaveOccurred(), id+", condition "+e.Name)
		}
	}
}
