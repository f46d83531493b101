package remediation_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// view is what one manager's cache has of a request and its analysis. A cache follows each kind by itself: it may have a workflow before it has the end of the analysis that the workflow came of.
type view struct {
	at       string
	rr       *v1alpha1.RemediationRequest
	analysis *v1alpha1.AIAnalysis
}

func (f *fixture) view(at string) view {
	v := view{at: at, rr: f.get()}
	if v.rr.Status.Analysis != "" {
		v.analysis = f.analysis()
	}
	return v
}

// behind makes a second manager, whose cache has an old view of the request and its analysis, and everything else as it is.
func (f *fixture) behind(v view) *fixture {
	other := *f
	other.client = interceptor.NewClient(env.Client, interceptor.Funcs{Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, opts ...client.GetOption) error {
		switch into := into.(type) {
		case *v1alpha1.RemediationRequest:
			v.rr.DeepCopyInto(into)
			return nil
		case *v1alpha1.AIAnalysis:
			if v.analysis == nil {
				return apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "aianalyses"}, key.Name)
			}
			v.analysis.DeepCopyInto(into)
			return nil
		}
		return c.Get(ctx, key, into, opts...)
	}})
	other.start()
	return &other
}

// Two managers may be at work at once, and a cache may be behind for as long as its watch hangs. A manager whose view is old stops nothing that another has begun, and calls nothing foreign.
func TestAManagerWhoseCacheIsBehindStopsNothing(t *testing.T) {
	f := newFixture(t, manually)
	views := []view{f.view("made")}
	for _, stage := range []struct {
		at   string
		come func()
	}{
		{"analysis began", func() {}},
		{"decision requested", func() { f.asks() }},
		{"decision asked for", func() {}},
		{"approved, workflow began", f.approves},
		{"workflow ended, notification began", func() { f.endWorkflow(v1alpha1.WorkflowCompleted, "") }},
	} {
		stage.come()
		views = append(views, f.view("before "+stage.at))
		f.reconcile()
		views = append(views, f.view(stage.at))
		for _, v := range views[:len(views)-1] {
			for _, late := range []time.Duration{0, 11 * time.Minute} { // longer than an analysis may take, and no longer than a workflow
				if late > 0 && f.get().Status.Workflow == "" {
					continue
				}
				t.Run(fmt.Sprintf("%s/seen as %s/after %s", stage.at, v.at, late), func(t *testing.T) {
					other := f.behind(v)
					f.pass(late)
					defer f.pass(-late)
					before := f.get()
					for range 3 {
						_, _ = other.reconciler.Reconcile(ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(f.rr)}) // a conflict may be an error
					}
					g := NewWithT(t)
					after := f.get()
					g.Expect(after.Status.Phase).To(Equal(before.Status.Phase))
					g.Expect(meta.FindStatusCondition(after.Status.Conditions, v1alpha1.ConditionForeignChild)).To(BeNil())
					var workflows v1alpha1.WorkflowExecutionList
					g.Expect(env.Client.List(ctx, &workflows, client.InNamespace(f.rr.Namespace))).To(Succeed())
					for _, w := range workflows.Items {
						g.Expect(w.Spec.Cancel).To(BeFalse(), w.Name)
					}
					var notifications v1alpha1.NotificationRequestList
					g.Expect(env.Client.List(ctx, &notifications, client.InNamespace(f.rr.Namespace))).To(Succeed())
					for _, n := range notifications.Items {
						g.Expect(n.Spec.Cancel && n.Spec.Purpose == v1alpha1.PurposeOutcome).To(BeFalse(), n.Name)
					}
					g.Expect(f.analysis().Spec.Cancel).To(BeFalse())
				})
			}
		}
	}
}
