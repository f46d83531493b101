package api

// Outbox is the part of a resource's status that buffers audit entries until they are durable in the store. Status embeds it.
//
// A zero outbox counts as none: the API server shows one on every resource.
//
// Fields that JSON patches test and that the rule reads are required: a missing one would fail every later write. It is one value to the API server, whoever owns
// fields: it is written as a whole, and managed fields for each of its own would make every write costlier (ADR 22). There is one rule, since each costs every status
// write. It holds what an entry was appended for: the outbox shrinks from the front only, and what is closed stays closed. Comparing all entries would be too costly for the API
// server's limit, so the middle of a closed outbox can be changed; the chain of hashes finds that.
//
// +kubebuilder:object:generate=true
// +structType=atomic
// +kubebuilder:validation:XValidation:rule="self.lastSequence - self.persistedSequence <= self.entries.size() && self.entries.size() <= self.lastSequence && (self.lastSequence > oldSelf.lastSequence ? !oldSelf.closed : self.lastSequence == oldSelf.lastSequence && self.headHash == oldSelf.headHash && self.closed == oldSelf.closed && (!self.closed || (self.entries.size() <= oldSelf.entries.size() && (self.entries.size() == 0 || self.entries[self.entries.size()-1] == oldSelf.entries[oldSelf.entries.size()-1]))))",message="the outbox only grows at its end and shrinks at its front, what is persisted aside; once closed it is final"
type Outbox struct {
	// lastSequence is the sequence of the newest entry ever appended; gapless from 1.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	LastSequence int64 `json:"lastSequence"`

	// persistedSequence is the sequence up to which every entry is durable in the store.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=9007199254740991
	PersistedSequence int64 `json:"persistedSequence"`

	// persistedTime is when the entry at persistedSequence was known to be durable.
	// +optional
	PersistedTime *Time `json:"persistedTime,omitempty"`

	// pending is the number of entries below, for columns and `kubectl wait`: 0 once the resource shows itself drained. Entries that are durable count until the next status write or trim
	// drops them, some seconds later. It is absent before the first entry, and always there from then on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pending *int32 `json:"pending,omitempty"`

	// headHash is the hash of the newest entry ever appended, 64 lowercase hex digits.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^([0-9a-f]{64})?$`
	HeadHash string `json:"headHash"`

	// closed is true once the entry that ends the record was appended. Nothing can be appended after it.
	// +required
	Closed bool `json:"closed"`

	// entries are the audit entries that were not yet acknowledged, oldest first. They leave only after the store has committed them. Each is a text; the hash of
	// the newest is headHash.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	// +kubebuilder:default={}
	Entries []Entry `json:"entries"` //nolint:kubeapilinter // required, yet with a default: an empty list in Go is written as null
}

// IsZero reports whether no entry was ever appended. It is true for nil.
func (o *Outbox) IsZero() bool {
	return o == nil || o.LastSequence == 0 && len(o.Entries) == 0 && !o.Closed
}

// SetEntries replaces the entries, and counts them.
func (o *Outbox) SetEntries(entries []Entry) {
	pending := int32(len(entries))
	o.Entries, o.Pending = entries, &pending
}

// RuleKept is the CEL rule that a root type needs beside an Outbox where its status cannot default to {}: an outbox that exists can't be removed. What is true of nearly every write comes first, and
// nothing after it is looked at then. As a marker:
//
//	// +kubebuilder:validation:XValidation:rule="(has(self.status) && has(self.status.outbox)) || !has(oldSelf.status) || !has(oldSelf.status.outbox)",message="…"
const RuleKept = "(has(self.status) && has(self.status.outbox)) || !has(oldSelf.status) || !has(oldSelf.status.outbox)"
