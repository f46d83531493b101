package main

import (
	"context"
	"fmt"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/test/testenv"
)

var ticketVersion = schema.GroupVersion{Group: "bench.holdfast.dev", Version: "v1"}

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
	Phase   string `json:"phase,omitempty"`
	Changes int    `json:"changes,omitempty"`
	// History is what a control writes instead of an outbox: the same entries, as plain data, and Text for the bytes that are missing.
	History []outbox.Entry `json:"history,omitempty"`
	Text    string         `json:"text,omitempty"`
	Outbox  *outbox.Outbox `json:"outbox,omitempty"`
}

// TicketList is a list of Ticket.
type TicketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`
	Items           []Ticket `json:"items"`
}

var _ outbox.Object = (*Ticket)(nil)

// GetOutbox implements outbox.Object.
func (t *Ticket) GetOutbox() *outbox.Outbox { return t.Status.Outbox }

// SetOutbox implements outbox.Object.
func (t *Ticket) SetOutbox(o *outbox.Outbox) { t.Status.Outbox = o }

// DeepCopyObject implements runtime.Object.
func (t *Ticket) DeepCopyObject() runtime.Object {
	c := &Ticket{TypeMeta: t.TypeMeta, ObjectMeta: *t.ObjectMeta.DeepCopy(), Spec: t.Spec, Status: t.Status}
	c.Status.Outbox = t.Status.Outbox.DeepCopy()
	for i := range t.Status.History {
		if i == 0 {
			c.Status.History = make([]outbox.Entry, len(t.Status.History))
		}
		t.Status.History[i].DeepCopyInto(&c.Status.History[i])
	}
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

// installKind serves Tickets, with the outbox that the CustomResourceDefinition of RemediationRequests has: its schema and its rules are part of the cost.
func installKind(ctx context.Context, env *testenv.Env) error {
	env.Scheme.AddKnownTypes(ticketVersion, &Ticket{}, &TicketList{})
	metav1.AddToGroupVersion(env.Scheme, ticketVersion)
	if err := apiextensionsv1.AddToScheme(env.Scheme); err != nil {
		return fmt.Errorf("install tickets: %w", err)
	}
	model := &apiextensionsv1.CustomResourceDefinition{}
	if err := env.Client.Get(ctx, client.ObjectKey{Name: "remediationrequests.holdfast.dev"}, model); err != nil {
		return fmt.Errorf("install tickets: %w", err)
	}
	if err := env.Client.Create(ctx, ticketDefinition(model)); err != nil {
		return fmt.Errorf("install tickets: %w", err)
	}
	return wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.Timeout, true, func(ctx context.Context) (bool, error) {
		return env.Client.List(ctx, &TicketList{}) == nil, nil
	})
}

func ticketDefinition(model *apiextensionsv1.CustomResourceDefinition) *apiextensionsv1.CustomResourceDefinition {
	version := model.Spec.Versions[0]
	version.Name, version.AdditionalPrinterColumns, version.SelectableFields = ticketVersion.Version, nil, nil
	root := version.Schema.OpenAPIV3Schema
	root.XValidations = slices.DeleteFunc(root.XValidations, func(r apiextensionsv1.ValidationRule) bool { return r.Rule != outbox.RuleKept })
	root.Required = nil
	box := root.Properties["status"].Properties["outbox"]
	root.Properties = map[string]apiextensionsv1.JSONSchemaProps{
		"apiVersion": {Type: "string"}, "kind": {Type: "string"}, "metadata": {Type: "object"},
		"spec": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{"subject": {Type: "string"}}},
		"status": {Type: "object", Properties: map[string]apiextensionsv1.JSONSchemaProps{
			"phase":   {Type: "string", MaxLength: ptr.To[int64](50)},
			"changes": {Type: "integer"},
			"text":    {Type: "string", MaxLength: ptr.To[int64](1 << 20)},
			"history": box.Properties["entries"],
			"outbox":  box,
		}},
	}
	return &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "tickets." + ticketVersion.Group},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{
			Group:    ticketVersion.Group,
			Names:    apiextensionsv1.CustomResourceDefinitionNames{Plural: "tickets", Singular: "ticket", Kind: "Ticket", ListKind: "TicketList"},
			Scope:    apiextensionsv1.NamespaceScoped,
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{version},
		},
	}
}
