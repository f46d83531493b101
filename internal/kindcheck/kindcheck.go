// Package kindcheck finds out at set-up whether a kind can be audited, rather than at its first save.
package kindcheck

import (
	"encoding/json"
	"fmt"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Kind is a resource that says where its outbox is.
type Kind interface {
	client.Object
	outboxapi.Holder
}

// probe is a value that shows where it went.
const probe = 7

// Check returns an error if a kind does not keep its outbox at status.outbox, and its conditions, if it has any, at status.conditions. prototype needs its type only.
func Check(prototype Kind) error {
	t := reflect.TypeOf(prototype)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Struct {
		return fmt.Errorf("%T cannot be audited: expected a pointer to the struct of a kind", prototype)
	}
	obj := reflect.New(t.Elem()).Interface().(Kind)
	status, conditions := obj.OutboxStatus()
	if status == nil {
		return fmt.Errorf("%T cannot be audited: OutboxStatus returned no status; return the address of the outboxapi.Status in the object's status, as in &x.Status.Status", prototype)
	}
	status.SetOutbox(&outboxapi.Outbox{LastSequence: probe, Entries: []outboxapi.Entry{}})
	if conditions != nil {
		*conditions = []metav1.Condition{{Type: "Probe"}}
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return fmt.Errorf("%T cannot be audited: its JSON: %w", prototype, err)
	}
	var written struct {
		Status struct {
			Outbox     *outboxapi.Outbox  `json:"outbox"`
			Conditions []metav1.Condition `json:"conditions"`
		} `json:"status"`
	}
	if err := json.Unmarshal(text, &written); err != nil {
		return fmt.Errorf("%T cannot be audited: its JSON: %w", prototype, err)
	}
	if o := written.Status.Outbox; o == nil || o.LastSequence != probe {
		return fmt.Errorf("%T cannot be audited: its JSON has no status.outbox after OutboxStatus set one; embed outboxapi.Status in the type of its field Status with the tag `json:\",inline\"`, and return the address of that one", prototype)
	}
	if conditions != nil && len(written.Status.Conditions) != 1 {
		return fmt.Errorf("%T cannot be audited: its JSON has no status.conditions after OutboxStatus set them; return the address of those of its status, or nil if it has none", prototype)
	}
	if o := outboxapi.Get(obj.DeepCopyObject().(Kind)); o == nil || o == status.GetOutbox() {
		return fmt.Errorf("%T cannot be audited: DeepCopyObject does not copy the outbox; run `controller-gen object` again", prototype)
	}
	return nil
}
