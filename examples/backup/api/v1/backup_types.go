package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// BackupPhase is where a backup stands.
// +kubebuilder:validation:Enum=Waiting;Copying;Copied;Deleted
type BackupPhase string

const (
	// PhaseWaiting is when the source does not exist.
	PhaseWaiting BackupPhase = "Waiting"
	// PhaseCopying is when a copy was written down and is being made.
	PhaseCopying BackupPhase = "Copying"
	// PhaseCopied is when the target holds what the source held when it was last looked at.
	PhaseCopied BackupPhase = "Copied"
	// PhaseDeleted is when the Backup is gone, the target stays.
	PhaseDeleted BackupPhase = "Deleted"
)

// BackupSpec names what to copy.
// +kubebuilder:validation:XValidation:rule="self.source != self.target",fieldPath=".target",message="target is the source itself"
// +kubebuilder:validation:XValidation:rule="self.source == oldSelf.source && self.target == oldSelf.target",message="source and target are immutable; make a new Backup instead"
type BackupSpec struct {
	// source is the ConfigMap to copy, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Source string `json:"source"`

	// target is the ConfigMap that gets the copy; it is made when it does not exist.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Target string `json:"target"`

	// everySeconds is how often to look for a change of the source.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	EverySeconds int32 `json:"everySeconds,omitempty"`
}

// BackupStatus is what was copied.
type BackupStatus struct {
	outboxapi.Status `json:",inline"`

	// phase is where the backup stands.
	// +optional
	Phase BackupPhase `json:"phase,omitempty"`

	// copies that were made.
	// +optional
	Copies int32 `json:"copies,omitempty"`

	// digest is the SHA-256 of what is being copied, or was copied last.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Digest string `json:"digest,omitempty"`

	// copiedTime is when the last copy was made.
	// +optional
	CopiedTime *outboxapi.Time `json:"copiedTime,omitempty"`

	// conditions of the resource: OutboxBlocked while a copy is held back because the outbox is full.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Backup keeps a copy of a ConfigMap.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="COPIES",type=integer,JSONPath=`.status.copies`
// +kubebuilder:printcolumn:name="PENDING",type=integer,JSONPath=`.status.outbox.pending`,priority=1
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=`.metadata.creationTimestamp`
type Backup struct {
	metav1.TypeMeta `json:",inline"`
	// metadata names it.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what to copy.
	// +required
	Spec BackupSpec `json:"spec"`

	// status is what was copied.
	// +kubebuilder:default={}
	// +optional
	Status BackupStatus `json:"status,omitempty"`
}

// BackupList is a list of Backup.
// +kubebuilder:object:root=true
type BackupList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Backup `json:"items"`
}

// OutboxStatus is where the outbox and the conditions are.
func (b *Backup) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &b.Status.Status, &b.Status.Conditions
}
