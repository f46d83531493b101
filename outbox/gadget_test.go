package outbox_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	. "github.com/onsi/gomega"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// gadget is a kind of an operator whose type is older than its CustomResourceDefinition. Its zero values are refused.
type gadget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Status gadgetStatus `json:"status"`
}

type gadgetStatus struct {
	outboxapi.Status `json:",inline"`

	Phase      string             `json:"phase,omitempty"`
	Level      string             `json:"level"`
	Replicas   int64              `json:"replicas"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

func (g *gadget) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &g.Status.Status, &g.Status.Conditions
}

func (g *gadget) DeepCopyObject() runtime.Object {
	c := *g
	c.ObjectMeta = *g.ObjectMeta.DeepCopy()
	c.Status.Status = *g.Status.Status.DeepCopy()
	c.Status.Conditions = slices.Clone(g.Status.Conditions)
	return &c
}

// workshop is a CustomResourceDefinition of gadgets, a gadget, and a writer.
type workshop struct {
	*WithT
	gvk    schema.GroupVersionKind
	client client.Client
	acks   *acknowledged
	writer *outbox.Writer
	key    client.ObjectKey
}

var workshops atomic.Int32

// open installs a CustomResourceDefinition of its own, as change makes it.
func open(t *testing.T, change func(status *apiextensionsv1.JSONSchemaProps)) *workshop {
	t.Helper()
	w := &workshop{WithT: NewWithT(t), acks: &acknowledged{}}
	w.gvk = schema.GroupVersionKind{Group: fmt.Sprintf("g%d.example.com", workshops.Add(1)), Version: "v1", Kind: "Gadget"}
	status := apiextensionsv1.JSONSchemaProps{Type: "object", Default: &apiextensionsv1.JSON{Raw: []byte("{}")}, Properties: map[string]apiextensionsv1.JSONSchemaProps{
		"outbox":     outboxSchema(w.WithT),
		"phase":      {Type: "string"},
		"level":      {Type: "string", Enum: []apiextensionsv1.JSON{{Raw: []byte(`"low"`)}, {Raw: []byte(`"high"`)}}},
		"replicas":   {Type: "integer", Minimum: ptr.To(1.0)},
		"newer":      {Type: "object", XPreserveUnknownFields: ptr.To(true)},
		"conditions": {Type: "array", Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}}},
	}}
	if change != nil {
		change(&status)
	}
	crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "gadgets." + w.gvk.Group}, Spec: apiextensionsv1.CustomResourceDefinitionSpec{
		Group: w.gvk.Group, Scope: apiextensionsv1.NamespaceScoped, Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "gadgets", Kind: "Gadget"},
		Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{
			Name: "v1", Served: true, Storage: true,
			Subresources: &apiextensionsv1.CustomResourceSubresources{Status: &apiextensionsv1.CustomResourceSubresourceStatus{}},
			Schema:       &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"status": status}}},
		}},
	}}
	_, err := envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{crd}})
	w.Expect(err).NotTo(HaveOccurred())
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(w.gvk, &gadget{})
	metav1.AddToGroupVersion(scheme, w.gvk.GroupVersion())
	w.client, err = client.New(env.Config, client.Options{Scheme: scheme})
	w.Expect(err).NotTo(HaveOccurred())
	w.writer = outbox.NewWriter(w.client, w.client, w.acks)
	// Without a field of its own at creation, the API server does not track managed fields.
	o := &gadget{ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace(ctx, "gadgets"), Name: "g", Labels: map[string]string{"tracked": "fields"}}}
	w.key = client.ObjectKeyFromObject(o)
	w.Eventually(func() error { return w.client.Create(ctx, o) }, testenv.Timeout, testenv.Interval).Should(Succeed())
	return w
}

// outboxSchema is the schema of the field, as controller-gen writes it.
func outboxSchema(g *WithT) apiextensionsv1.JSONSchemaProps {
	definitions, err := config.CRDs()
	g.Expect(err).NotTo(HaveOccurred())
	return definitions[0].Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["status"].Properties["outbox"]
}

// raw is the gadget as the API server has it.
func (w *workshop) raw() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(w.gvk)
	w.Expect(w.client.Get(ctx, w.key, u)).To(Succeed())
	return u
}

func (w *workshop) live() *gadget {
	g := &gadget{}
	w.Expect(w.client.Get(ctx, w.key, g)).To(Succeed())
	return g
}

// field is a field of the status; nil if it has none.
func (w *workshop) field(path ...string) any {
	v, _, err := unstructured.NestedFieldCopy(w.raw().Object, append([]string{"status"}, path...)...)
	w.Expect(err).NotTo(HaveOccurred())
	return v
}

// merge writes the status past the writer.
func (w *workshop) merge(status string) {
	w.Expect(w.client.Status().Patch(ctx, w.raw(), client.RawPatch(types.MergePatchType, []byte(`{"status":`+status+`}`)))).To(Succeed())
}

// applied is a configuration of the status for an apply.
func (w *workshop) applied(status map[string]any) client.Patch {
	u := &unstructured.Unstructured{Object: map[string]any{"metadata": map[string]any{"name": w.key.Name, "namespace": w.key.Namespace}, "status": status}}
	u.SetGroupVersionKind(w.gvk)
	text, err := u.MarshalJSON()
	w.Expect(err).NotTo(HaveOccurred())
	return client.RawPatch(types.ApplyPatchType, text)
}

// describeGadget says that each change of the phase is part of the trail.
func describeGadget(before, after outbox.Object) *outbox.Change {
	was, is := before.(*gadget), after.(*gadget)
	if was.Status.Phase == is.Status.Phase {
		return nil
	}
	return &outbox.Change{Kind: "gadgets.example.com", Event: "Changed", Phase: is.Status.Phase, Record: map[string]any{"was": was.Status.Phase, "is": is.Status.Phase}}
}
