// Package entry makes and reads audit entries: what the relay, stores, readers and verifiers share. A controller needs package outbox instead.
//
// # Model
//
// An entry is a text: canonical JSON (RFC 8785) of what changed, in which resource, with the whole record as of that moment. The text is what is hashed, what the resource
// holds until the store has it, and what becomes the column entry. docs/entry.md specifies it. Append makes one; it is pure, with clock and salt passed in. Decode reads one.
//
// # Invariants
//
//   - An id follows from (uid, creation time, sequence); a hash covers the whole text and, through previousHash, all texts before it.
//   - The place of a text in its outbox gives its sequence, and the text after it, or the outbox's head, the hash that it should have (Pending). What it claims is checked
//     against both, and never trusted.
//   - Any record survives: Append repairs what no store can hold, and counts it, or refuses the record.
//
// # How it fails
//
// Append returns ErrInvalid, ErrTooLarge, ErrClosed or ErrFull and leaves the outbox as it was. Decode reads as much as it can and returns ErrNoEntry for what is none.
package entry
