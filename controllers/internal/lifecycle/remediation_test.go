package lifecycle_test

import (
	"context"
	"os"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

// A cache that has not seen anything yet.
func behind() client.Reader {
	return interceptor.NewClient(env.Client, interceptor.Funcs{
		Get: func(_ context.Context, _ client.WithWatch, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
			return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("remediationrequests").GroupResource(), key.Name)
		},
	})
}

func TestForeignRemediationSaysWhyATrailIsNotTheResources(t *testing.T) {
	g, ctx := NewWithT(t), t.Context()
	here, there := env.Namespace(ctx, "here"), env.Namespace(ctx, "there")
	make := func(namespace, name string) *v1alpha1.RemediationRequest {
		rr := testenv.MakeRemediation(namespace, name).Obj()
		g.Expect(env.Client.Create(ctx, rr)).To(Succeed())
		return rr
	}
	mine, another, elsewhere, gone := make(here, "mine"), make(here, "another"), make(there, "mine"), make(here, "gone")
	g.Expect(env.Vanish(ctx, gone)).To(Succeed())
	for name, c := range map[string]struct {
		ref     v1alpha1.RemediationRef
		entries int64
		why     string
	}{
		"the live request":                           {ref: v1alpha1.RemediationRef{Name: "mine", UID: mine.UID}},
		"the name of one, the uid of another":        {ref: v1alpha1.RemediationRef{Name: "mine", UID: another.UID}, why: `expected "` + string(mine.UID) + `"`},
		"the uid of one in another namespace":        {ref: v1alpha1.RemediationRef{Name: "mine", UID: elsewhere.UID}, why: `expected "` + string(mine.UID) + `"`},
		"the same, under a name that is not here":    {ref: v1alpha1.RemediationRef{Name: "nobody", UID: elsewhere.UID}, why: "does not exist in this namespace"},
		"one that is gone":                           {ref: v1alpha1.RemediationRef{Name: "gone", UID: gone.UID}, why: "does not exist in this namespace"},
		"one that is gone, in upper case":            {ref: v1alpha1.RemediationRef{Name: "gone", UID: "5C0F1E2D-0000-4000-8000-000000000001"}, why: "does not exist in this namespace"},
		"one that is gone, without dashes":           {ref: v1alpha1.RemediationRef{Name: "gone", UID: "5c0f1e2d000040008000000000000001"}, why: "does not exist in this namespace"},
		"one that is gone, for what it began before": {ref: v1alpha1.RemediationRef{Name: "gone", UID: gone.UID}, entries: 1},
		"work by hand":                               {ref: v1alpha1.RemediationRef{Name: "by-hand", UID: "by-hand-2026-11-23"}},
		"work by hand under a live request's name":   {ref: v1alpha1.RemediationRef{Name: "mine", UID: "by-hand"}, why: `spec.remediationRef.uid is "by-hand"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			obj := &v1alpha1.AIAnalysis{ObjectMeta: metav1.ObjectMeta{Namespace: here, Name: "child", UID: types.UID("child")}}
			if c.entries > 0 {
				obj.Status.Outbox = &outboxapi.Outbox{LastSequence: c.entries}
			}
			for cache, reader := range map[string]client.Reader{"fresh": env.Client, "behind": behind()} {
				why, err := lifecycle.ForeignRemediation(ctx, reader, env.Client, obj, c.ref)
				g.Expect(err).NotTo(HaveOccurred())
				if c.why == "" {
					g.Expect(why).To(BeEmpty(), cache)
				} else {
					g.Expect(why).To(ContainSubstring(c.why), cache)
				}
			}
			g.Expect(lifecycle.RemediationID(obj, c.ref)).To(Equal(string(c.ref.UID)))
			lifecycle.RefuseRemediation(obj, "because")
			g.Expect(lifecycle.RemediationID(obj, c.ref)).To(Equal("child"))
		})
	}
}
