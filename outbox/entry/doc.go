// Package entry creates and reads audit entries, for the relay, stores, readers and verifiers. Controllers use package outbox instead.
//
// # Model
//
// An entry is a text: canonical JSON (RFC 8785) of what changed, in which resource, with the whole record as of that moment. The hash covers the text. The resource
// keeps the text until it is durable, and the store keeps it in the column entry. docs/entry.md specifies it. Append creates an entry; it is pure, with clock and salt passed in. Decode reads one.
//
// # Invariants
//
//   - An id is derived from (uid, creation time, sequence); a hash covers the whole text and, through previousHash, all texts before it.
//   - The position of a text in its outbox determines its sequence. The next text, or the head of the outbox, determines its expected hash (Pending). Both are compared with
//     the text, which is never trusted.
//   - A record is stored without loss, or refused: Append replaces characters that no store can hold and counts them, and refuses what it cannot repair.
//
// # How it fails
//
// Append returns ErrInvalid, ErrTooLarge, ErrClosed or ErrFull and leaves the outbox as it was. Decode reads as much as it can, and returns ErrNoEntry if the text is not an entry.
package entry
