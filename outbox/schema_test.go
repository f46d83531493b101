package outbox_test

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// A cluster still has the CustomResourceDefinition of a development version, whose entries were objects: the error of Save names it, and says what to do.
func TestACRDOfADevelopmentVersionIsNamed(t *testing.T) {
	f, obj := setup(t)
	definitions, err := config.CRDs()
	f.Expect(err).NotTo(HaveOccurred())
	i := slices.IndexFunc(definitions, func(crd *apiextensionsv1.CustomResourceDefinition) bool {
		return crd.Spec.Names.Kind == "NotificationRequest"
	})
	released := definitions[i]
	older := released.DeepCopy()
	status := older.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"]
	box := status.Properties["outbox"]
	box.XValidations = nil
	entries := box.Properties["entries"]
	entries.Items.Schema = &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}
	box.Properties["entries"] = entries
	status.Properties["outbox"] = box

	scheme := runtime.NewScheme()
	f.Expect(apiextensionsv1.AddToScheme(scheme)).To(Succeed())
	admin, err := client.New(env.Config, client.Options{Scheme: scheme})
	f.Expect(err).NotTo(HaveOccurred())
	install := func(crd *apiextensionsv1.CustomResourceDefinition) {
		live := &apiextensionsv1.CustomResourceDefinition{}
		f.Expect(admin.Get(ctx, client.ObjectKeyFromObject(crd), live)).To(Succeed())
		live.Spec = crd.Spec
		f.Expect(admin.Update(ctx, live)).To(Succeed())
	}
	install(older)
	defer install(released)
	f.Eventually(func() error { return f.save(f.live(obj), v1alpha1.NotificationSending, "Begun") }, testenv.Timeout, testenv.Interval).
		Should(MatchError(And(ContainSubstring("must be of type object"), ContainSubstring("the CustomResourceDefinition is from a development version; apply the one of this release"))))

	install(released)
	f.Eventually(func() error { return f.save(f.live(obj), v1alpha1.NotificationSending, "Begun") }, testenv.Timeout, testenv.Interval).Should(Succeed())
}
