package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Tickets with an outbox, and those of the controls, which have no outbox in their schema and no rules: these are part of what an audited one costs.
var (
	ticketVersion  = schema.GroupVersion{Group: "bench.holdfast.dev", Version: "v1"}
	controlVersion = schema.GroupVersion{Group: "control.bench.holdfast.dev", Version: "v1"}
)

// Ticket is a resource whose status changes again and again.
type Ticket struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`
	// Spec is something, as in all real resources: on one that was made without a field, the API server spares itself the managed fields from then on.
	Spec   TicketSpec   `json:"spec"`
	Status TicketStatus `json:"status,omitzero"`
}

// TicketSpec says what the ticket is about.
type TicketSpec struct {
	Subject string `json:"subject"`
}

// TicketStatus has what each control writes, and the outbox.
type TicketStatus struct {
	outboxapi.Status `json:",inline"`

	Phase   string `json:"phase,omitempty"`
	Changes int    `json:"changes,omitempty"`
	// History is what a control writes instead of an outbox: the same entries, as plain data, and Text for the bytes that are missing.
	History []plainEntry `json:"history,omitempty"`
	Text    string       `json:"text,omitempty"`
}

// plainEntry is an entry as plain data, with the members of its text.
type plainEntry struct {
	ID            string            `json:"id"`
	Sequence      int64             `json:"sequence"`
	Kind          string            `json:"kind"`
	Event         string            `json:"event"`
	Phase         string            `json:"phase"`
	RecordedTime  outboxapi.Time    `json:"recordedTime"`
	SchemaVersion int32             `json:"schemaVersion"`
	Final         bool              `json:"final"`
	Salt          string            `json:"salt"`
	Source        map[string]string `json:"source"`
	Record        json.RawMessage   `json:"record"`
	PreviousHash  string            `json:"previousHash"`
}

// TicketList is a list of Ticket.
type TicketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Ticket `json:"items"`
}

var _ outbox.Object = (*Ticket)(nil)

// OutboxStatus implements outbox.Object.
func (t *Ticket) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &t.Status.Status, nil
}

// DeepCopyObject implements runtime.Object.
func (t *Ticket) DeepCopyObject() runtime.Object {
	c := &Ticket{TypeMeta: t.TypeMeta, ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: t.Spec, Status: t.Status}
	c.Status.Outbox = t.Status.Outbox.DeepCopy()
	c.Status.History = slices.Clone(t.Status.History) // what it points to is never changed
	return c
}

// DeepCopyObject implements runtime.Object.
func (l *TicketList) DeepCopyObject() runtime.Object {
	c := &TicketList{TypeMeta: l.TypeMeta, ListMeta: *l.DeepCopy()}
	for i := range l.Items {
		c.Items = append(c.Items, *l.Items[i].DeepCopyObject().(*Ticket))
	}
	return c
}

// served is a kind of Ticket, and how it is reached.
type served struct {
	scheme *runtime.Scheme
	client client.Client // uncached
}

// install serves both kinds of Tickets.
func (b *bench) install(ctx context.Context) (err error) {
	if b.tickets, err = serve(ctx, b.env, ticketVersion, ticketDefinition); err != nil {
		return fmt.Errorf("install tickets: %w", err)
	}
	if err = b.keepFinalizers(ctx); err != nil {
		return fmt.Errorf("install the policy that adds the finalizer: %w", err)
	}
	if b.controls, err = serve(ctx, b.env, controlVersion, controlDefinition); err != nil {
		return fmt.Errorf("install the controls' tickets: %w", err)
	}
	return nil
}

// keepFinalizers installs the policy that adds the outbox's finalizer, as it is installed for Holdfast's own kinds, and returns when it is enforced.
func (b *bench) keepFinalizers(ctx context.Context) error {
	const name = "holdfast-finalizer"
	policies, err := config.Policies()
	if err != nil {
		return err
	}
	for _, p := range policies {
		if p.GetName() != name {
			continue
		}
		p.SetName(name + "-tickets")
		if p.GetKind() == "MutatingAdmissionPolicyBinding" {
			err = unstructured.SetNestedField(p.Object, p.GetName(), "spec", "policyName")
		} else {
			rule := map[string]any{"apiGroups": []any{ticketVersion.Group}, "apiVersions": []any{"*"}, "operations": []any{"CREATE", "UPDATE"}, "resources": []any{"tickets"}, "scope": "Namespaced"}
			err = unstructured.SetNestedSlice(p.Object, []any{rule}, "spec", "matchConstraints", "resourceRules")
		}
		if err := errors.Join(err, b.env.Client.Create(ctx, p)); err != nil {
			return err
		}
	}
	return b.awaitFinalizers(ctx)
}

// awaitFinalizers returns when the policy is enforced. An API server that has just started refuses tickets until it knows their kind.
func (b *bench) awaitFinalizers(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (bool, error) {
		t := &Ticket{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceDefault, Name: "probe"}, Spec: TicketSpec{Subject: "probe"}}
		last = b.tickets.client.Create(ctx, t, client.DryRunAll)
		return slices.Contains(t.Finalizers, outbox.Finalizer), nil
	})
	return errors.Join(err, last)
}

// of is what an arm works on.
func (b *bench) of(a arm) served {
	if a == audited {
		return b.tickets
	}
	return b.controls
}

// clear leaves nothing behind in a namespace. Whatever the API server holds, its garbage collection goes through, on the processors that the next trial shares with it.
func (k served) clear(ctx context.Context, namespace string) error {
	list := &TicketList{}
	if err := k.client.List(ctx, list, inNamespace(namespace)); err != nil {
		return fmt.Errorf("clear %s: %w", namespace, err)
	}
	group, patching := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range list.Items {
		if len(list.Items[i].Finalizers) > 0 {
			group.Go(func() error {
				return k.client.Patch(patching, &list.Items[i], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`)))
			})
		}
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("clear %s: %w", namespace, err)
	}
	return k.client.DeleteAllOf(ctx, &Ticket{}, client.InNamespace(namespace))
}

func serve(ctx context.Context, env *testenv.Env, version schema.GroupVersion, define func(model apiextensionsv1.CustomResourceDefinitionVersion) apiextensionsv1.CustomResourceDefinitionVersion) (k served, err error) {
	k.scheme = testenv.Scheme()
	k.scheme.AddKnownTypes(version, &Ticket{}, &TicketList{})
	metav1.AddToGroupVersion(k.scheme, version)
	if err := apiextensionsv1.AddToScheme(k.scheme); err != nil {
		return k, err
	}
	if k.client, err = client.New(env.Config, client.Options{Scheme: k.scheme}); err != nil {
		return k, err
	}
	model := &apiextensionsv1.CustomResourceDefinition{}
	if err := k.client.Get(ctx, client.ObjectKey{Name: "remediationrequests.holdfast.dev"}, model); err != nil {
		return k, err
	}
	defined := define(model.Spec.Versions[0])
	defined.Name, defined.AdditionalPrinterColumns, defined.SelectableFields = version.Version, nil, nil
	definition := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "tickets." + version.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group:    version.Group,
			Names:    apiextensionsv1.CustomResourceDefinitionNames{Plural: "tickets", Singular: "ticket", Kind: "Ticket", ListKind: "TicketList"},
			Scope:    apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{defined},
		},
	}
	if err := k.client.Create(ctx, definition); err != nil {
		return k, err
	}
	return k, wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (bool, error) {
		return k.client.List(ctx, &TicketList{}) == nil, nil
	})
}

// ticketDefinition has the outbox of RemediationRequests, with its defaults and its rule.
func ticketDefinition(version apiextensionsv1.CustomResourceDefinitionVersion) apiextensionsv1.CustomResourceDefinitionVersion {
	root := version.Schema.OpenAPIV3Schema
	root.XValidations, root.Required = nil, nil
	status := root.Properties["status"]
	root.Properties = map[string]apiextensionsv1.JSONSchemaProps{
		"apiVersion": {Type: "string"}, "kind": {Type: "string"}, "metadata": {Type: "object"},
		"spec": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"subject": {Type: "string"}}},
		"status": {Type: "object", Default: status.Default, Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"phase":   {Type: "string", MaxLength: ptr.To[int64](50)},
			"changes": {Type: "integer"},
			"text":    {Type: "string", MaxLength: ptr.To[int64](1 << 20)},
			"outbox":  status.Properties["outbox"],
		}},
	}
	return version
}

// controlDefinition has the entries as plain data instead: a structure with bounds, whose record may be any object.
func controlDefinition(version apiextensionsv1.CustomResourceDefinitionVersion) apiextensionsv1.CustomResourceDefinitionVersion {
	version = ticketDefinition(version)
	status := version.Schema.OpenAPIV3Schema.Properties["status"]
	status.Default = nil
	delete(status.Properties, "outbox")
	version.Schema.OpenAPIV3Schema.Properties["status"] = status
	bounded := func(n int64) apiextensionsv1.JSONSchemaProps {
		return apiextensionsv1.JSONSchemaProps{Type: "string", MaxLength: ptr.To(n)}
	}
	entry := apiextensionsv1.JSONSchemaProps{Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
		"id": bounded(36), "sequence": {Type: "integer", Format: "int64", Minimum: ptr.To(1.0)}, "kind": bounded(253), "event": bounded(64), "phase": bounded(50), "recordedTime": bounded(64),
		"schemaVersion": {Type: "integer", Format: "int32"}, "final": {Type: "boolean"}, "salt": bounded(22), "previousHash": bounded(64),
		"record": {Type: "object", XPreserveUnknownFields: ptr.To(true)},
		"source": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"namespace": bounded(63), "name": bounded(253), "uid": bounded(36)}},
	}}
	status.Properties["history"] = apiextensionsv1.JSONSchemaProps{
		Type: "array", XListType: ptr.To("atomic"), MaxItems: ptr.To[int64](1000), Items: &apiextensionsv1.JSONSchemaPropsOrArray{Schema: &entry},
	}
	return version
}
