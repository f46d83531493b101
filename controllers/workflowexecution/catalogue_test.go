package workflowexecution

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
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

// The version is that of an entry which the request's controller made the workflow of, and of nothing that only says so.
func TestTheVersionOfAWorkflow(t *testing.T) {
	g := NewWithT(t)
	c, err := catalogue.Default()
	g.Expect(err).NotTo(HaveOccurred())
	r := &Reconciler{catalogue: c}
	entry, _ := c.Get("scale")
	made := func(change ...func(*v1alpha1.WorkflowExecution)) string {
		plan, err := entry.Render(map[string]string{"replicas": "2"})
		g.Expect(err).NotTo(HaveOccurred())
		wfe := &v1alpha1.WorkflowExecution{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
			{APIVersion: "holdfast.dev/v1alpha1", Kind: "RemediationRequest", Name: "cart", UID: "r", Controller: ptr.To(true)},
		}}, Spec: v1alpha1.WorkflowExecutionSpec{
			RemediationRef: v1alpha1.RemediationRef{Name: "cart", UID: "r"}, WorkflowID: "scale", Steps: plan.Steps, PreConditions: plan.PreConditions, PostConditions: plan.PostConditions,
		}}
		for _, f := range change {
			f(wfe)
		}
		return r.version(wfe)
	}
	g.Expect(made()).To(Equal(entry.Version()))
	for name, change := range map[string]func(*v1alpha1.WorkflowExecution){
		"made by hand":              func(w *v1alpha1.WorkflowExecution) { w.OwnerReferences = nil },
		"of another request":        func(w *v1alpha1.WorkflowExecution) { w.OwnerReferences[0].UID = "another" },
		"of another release":        func(w *v1alpha1.WorkflowExecution) { w.Spec.PostConditions = nil },
		"of no entry":               func(w *v1alpha1.WorkflowExecution) { w.Spec.WorkflowID = "mine" },
		"of a controller not of us": func(w *v1alpha1.WorkflowExecution) { w.OwnerReferences[0].Kind = "Job" },
	} {
		g.Expect(made(change)).To(BeEmpty(), name)
	}
}
