package api

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Status is the outbox as a kind's status embeds it:
//
//	type BackupStatus struct {
//		outboxapi.Status `json:",inline"`
//		…
//	}
//
// The root type's status has a default, and the kind a method that says where the outbox and the conditions are:
//
//	// +kubebuilder:default={}
//	// +optional
//	Status BackupStatus `json:"status,omitempty"`
//
//	func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
//		return &b.Status.Status, &b.Status.Conditions
//	}
//
// The default of the status and the one below are both needed. With the one below alone, a PUT without a status removes the outbox. With defaults of single fields, nothing
// replaces an outbox that was removed, and no rule is evaluated. A status with required fields cannot have the default {}: put RuleKept on the root type then.
//
// +kubebuilder:object:generate=true
type Status struct {
	// outbox has the audit entries that are not yet durable in the store.
	// +default={"lastSequence": 0, "persistedSequence": 0, "headHash": "", "closed": false, "entries": []}
	// +optional
	Outbox *Outbox `json:"outbox,omitempty"`
}

// GetOutbox returns the outbox, nil before the first entry.
func (s *Status) GetOutbox() *Outbox { return s.Outbox }

// SetOutbox replaces the outbox.
func (s *Status) SetOutbox(o *Outbox) { s.Outbox = o }

// Holder is a kind that says where its outbox and its conditions are. The conditions are nil for a kind that has none.
type Holder interface {
	OutboxStatus() (*Status, *[]metav1.Condition)
}

// Get returns the outbox of a resource, nil before the first entry.
func Get(h Holder) *Outbox {
	s, _ := h.OutboxStatus()
	return s.GetOutbox()
}

// Set replaces the outbox of a resource.
func Set(h Holder, o *Outbox) {
	s, _ := h.OutboxStatus()
	s.SetOutbox(o)
}
