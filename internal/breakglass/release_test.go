package breakglass_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/breakglass"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

var env *testenv.Env

func TestMain(m *testing.M) { os.Exit(testenv.Main(m, &env)) }

func change() *entry.Change {
	return &entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: models.Notification{RemediationID: "r", NotificationRequestedAt: outboxapi.NewTime(time.Now())}}
}

// What was appended after the export is not in it, so the finalizer stays; a label is no reason to begin again, and another finalizer keeps its place.
func TestOnlyWhatWasExportedIsReleased(t *testing.T) {
	g := NewWithT(t)
	obj := testenv.MakeNotification(env.Namespace(t.Context(), "release"), "cart").Finalizers("example.com/first", outbox.Finalizer).Obj()
	g.Expect(env.Client.Create(t.Context(), obj)).To(Succeed())
	writer := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})
	g.Expect(writer.Draft(obj).Save(t.Context(), change())).To(Succeed())
	cluster, err := breakglass.Connect(env.Config)
	g.Expect(err).NotTo(HaveOccurred())
	gvr, err := cluster.Resolve("nr")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(gvr).To(Equal(schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: "notificationrequests"}))

	read := func() *breakglass.Resource {
		r, err := cluster.Get(t.Context(), gvr, obj.Namespace, obj.Name)
		g.Expect(err).NotTo(HaveOccurred())
		return r
	}
	exported := read()
	g.Expect(writer.Draft(obj).Save(t.Context(), change())).To(Succeed())
	g.Expect(cluster.Release(t.Context(), exported)).To(MatchError(breakglass.ErrChanged))
	g.Expect(read().HasFinalizer()).To(BeTrue())

	exported = read()
	g.Expect(cluster.Release(t.Context(), exported)).To(MatchError(breakglass.ErrKept), "the record is open: the policy puts it back, and nobody is told that it is gone")
	g.Expect(read().HasFinalizer()).To(BeTrue())

	g.Expect(env.Client.Delete(t.Context(), obj.DeepCopy())).To(Succeed())
	exported = read()
	labelled := obj.DeepCopy()
	labelled.Labels = map[string]string{"a": "b"}
	g.Expect(env.Client.Patch(t.Context(), labelled, client.MergeFrom(obj))).To(Succeed())
	g.Expect(cluster.Release(t.Context(), exported)).To(Succeed())
	now := &v1alpha1.NotificationRequest{}
	g.Expect(env.Client.Get(t.Context(), client.ObjectKeyFromObject(obj), now)).To(Succeed())
	g.Expect(now.Finalizers).To(Equal([]string{"example.com/first"}))
	g.Expect(now.Status.Outbox.Entries).To(HaveLen(2))
}

// Before the first entry there is no head to test: then nothing at all may have changed.
func TestAResourceWithoutAnOutbox(t *testing.T) {
	g := NewWithT(t)
	obj := testenv.MakeNotification(env.Namespace(t.Context(), "release"), "cart").Finalizers(outbox.Finalizer).Obj()
	g.Expect(env.Client.Create(t.Context(), obj)).To(Succeed())
	cluster, err := breakglass.Connect(env.Config)
	g.Expect(err).NotTo(HaveOccurred())
	gvr, err := cluster.Resolve("notificationrequests.v1alpha1.holdfast.dev")
	g.Expect(err).NotTo(HaveOccurred())
	exported, err := cluster.Get(t.Context(), gvr, obj.Namespace, obj.Name)
	g.Expect(err).NotTo(HaveOccurred())
	writer := outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})
	g.Expect(writer.Draft(obj).Save(t.Context(), change())).To(Succeed())
	g.Expect(cluster.Release(t.Context(), exported)).To(MatchError(breakglass.ErrChanged))

	bare := testenv.MakeNotification(obj.Namespace, "bare").Finalizers(outbox.Finalizer).Obj()
	g.Expect(env.Client.Create(t.Context(), bare)).To(Succeed())
	g.Expect(env.Client.Delete(t.Context(), bare)).To(Succeed())
	exported, err = cluster.Get(t.Context(), gvr, obj.Namespace, "bare")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cluster.Release(t.Context(), exported)).To(Succeed())

	file, err := breakglass.NewFile(filepath.Join(t.TempDir(), "x"), breakglass.Header{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(file.Add(exported)).To(Succeed())
	g.Expect(file.Header()).To(And(HaveField("Resources", 0), HaveField("Entries", 0)))
	g.Expect(file.Close()).To(Succeed())
}
