// Package api has the types that a resource's status embeds: the Outbox, its entries, and the time that both use.
// It needs apimachinery alone, so that a package of API types that imports it imports little else.
package api

import (
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Outbox is the part of a resource's status that buffers audit entries until they are durable in the store. Embed it as
//
//	// +optional
//	Outbox *outboxapi.Outbox `json:"outbox,omitempty"`
//
// and put RuleKept on the root type, since a rule cannot notice here that its own field was removed.
//
// Fields that JSON patches test and that the rules read are required: a missing one would fail every later write. It is one value to the API server, whoever owns
// fields: it is written as a whole, and managed fields for each of its own would make every write costlier (ADR 22).
//
// +kubebuilder:object:generate=true
// +structType=atomic
// +kubebuilder:validation:XValidation:rule="!oldSelf.closed || (self.closed && self.headHash == oldSelf.headHash && self.lastSequence == oldSelf.lastSequence)",message="a closed outbox is final: closed, headHash and lastSequence stay as they are"
// +kubebuilder:validation:XValidation:rule="!oldSelf.closed || (self.entries.size() <= oldSelf.entries.size() && self.entries.all(i, e, e.hash == oldSelf.entries[i + oldSelf.entries.size() - self.entries.size()].hash))",message="a closed outbox is final: its entries only shrink, oldest first"
type Outbox struct {
	// lastSequence is the sequence of the newest entry ever appended; gapless from 1.
	// +required
	// +kubebuilder:validation:Minimum=0
	LastSequence int64 `json:"lastSequence"`

	// persistedSequence is the sequence up to which every entry is durable in the store.
	// +required
	// +kubebuilder:validation:Minimum=0
	PersistedSequence int64 `json:"persistedSequence"`

	// persistedTime is when the entry at persistedSequence was known to be durable.
	// +optional
	PersistedTime *Time `json:"persistedTime,omitempty"`

	// pending is the number of entries below, for columns and `kubectl wait`.
	// +required
	// +kubebuilder:validation:Minimum=0
	Pending int32 `json:"pending"`

	// headHash is the hash of the newest entry ever appended, 64 lowercase hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	HeadHash string `json:"headHash"`

	// closed is true once the entry that ends the record was appended. Nothing can be appended after it.
	// +required
	Closed bool `json:"closed"`

	// entries are the audit entries that were not yet acknowledged, oldest first. They leave only after the store has committed them.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:default={}
	Entries []Entry `json:"entries"` //nolint:kubeapilinter // required, yet with a default: an empty list in Go is written as null
}

// RuleKept is the CEL rule that a root type needs beside an Outbox: an outbox that exists can't be removed. What is true of nearly every write comes first, and
// nothing after it is looked at then. As a marker:
//
//	// +kubebuilder:validation:XValidation:rule="(has(self.status) && has(self.status.outbox)) || !has(oldSelf.status) || !has(oldSelf.status.outbox)",message="…"
const RuleKept = "(has(self.status) && has(self.status.outbox)) || !has(oldSelf.status) || !has(oldSelf.status.outbox)"

// Entry is one audit entry: an envelope, which is frozen (an older manager that saves the status of a newer one must not drop a field
// of it), and the record, whole as of that moment.
//
// +kubebuilder:object:generate=true
type Entry struct {
	// id is fixed by the resource's uid and the sequence (see ID).
	// +required
	// +kubebuilder:validation:MaxLength=36
	ID string `json:"id"`

	// sequence is the position in the resource's history, from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence"`

	// kind of the record: orchestration, ai-decision, execution, notification, or a kind of yours with its group (backups.example.com).
	// +required
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind"`

	// event is what changed, in CamelCase.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Event string `json:"event"`

	// phase of the resource after the change.
	// +required
	// +kubebuilder:validation:MaxLength=50
	Phase string `json:"phase"`

	// recordedTime is when it changed.
	// +required
	RecordedTime Time `json:"recordedTime"`

	// schemaVersion of the record.
	// +required
	SchemaVersion int32 `json:"schemaVersion"`

	// final is true on the entry that closes the record.
	// +required
	Final bool `json:"final"`

	// traceparent is the W3C trace context in which the change was made.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	Traceparent string `json:"traceparent,omitempty"`

	// record is the audit record, complete as of this moment.
	// +required
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Record apiextensionsv1.JSON `json:"record"`

	// previousHash is the hash of the entry before; empty on the first.
	// +required
	// +kubebuilder:validation:MaxLength=64
	PreviousHash string `json:"previousHash"`

	// hash is SHA-256 over the canonical JSON of this entry and its source (see Canonical), 64 lowercase hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	Hash string `json:"hash"`
}
