// Package storageapi is the Data Storage API: audit records over REST, for those that have no outbox.
//
// # Model
//
// Four endpoints take records, one as a JSON object or up to 500 as an array, and make rows of the tables that the relay writes too. A call is one transaction, all or
// nothing, and is answered after COMMIT. Nothing can be read back: reports are another service's.
//
// A request passes, in this order, the gate (how many are under way), the authorizer (who calls, and may they), the caller's rate, the size (declared, and of all
// bodies together), the reading (with a deadline), the shape (schema.go describes it, once for the document and for the check), and the store. Each of them refuses
// with its own status, before anything that costs more is done.
//
// # Invariants
//
//   - 201 and 200 mean committed. Any other answer means that nothing of this call was stored, but for 503 and a lost connection, after which nobody knows: send it
//     again, with ids.
//   - The same id with the same record is one row, however often it is sent. Another record under that id is refused, never written over.
//   - A row's entry is the canonical JSON of what was posted, and its columns are that entry's projection: verify checks both.
//   - Claims of an origin (source_*, sequence, hashes, entry) are taken only from callers that may relay.
//   - Every answer is described in the OpenAPI document, and every refusal is application/problem+json with each bad field named by its JSON pointer.
//
// # How it fails
//
// Without the database it answers 503 with Retry-After and /readyz fails, while /healthz does not: restarting fixes nothing. Too many requests, or too many bytes, are
// refused before they are read. When it is told to stop it takes no more and finishes what it has taken.
package storageapi
