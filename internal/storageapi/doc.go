// Package storageapi is the Data Storage API: audit records over REST, for programs without an outbox.
//
// # Model
//
// Four endpoints accept records, one as a JSON object or up to 500 as an array, and store them in the tables of the relay. A request is one transaction, all or
// nothing, and is answered after COMMIT. Records cannot be read: reports are another service.
//
// A request passes these checks in order: concurrency, authentication and authorization, the rate of the caller, size (declared, and of all bodies together), reading
// (with a deadline), schema (schema.go, used for the document and for the check), and the store. Each check has its own status, and comes before more expensive ones.
//
// # Invariants
//
//   - 201 and 200 mean committed. Any other status means that nothing of the request was stored. Exceptions are 500, 503 and a lost connection: then the records may or
//     may not be stored, and the caller sends them again with the same ids.
//   - The same id with the same record is one row, however often it is sent. A different record with that id is refused; rows are never overwritten.
//   - The entry of a row is the canonical JSON of the posted record, and its columns are derived from it: verify checks both.
//   - Claims of an origin (source_*, sequence, hashes, entry) are accepted only from callers with the right to relay.
//   - The OpenAPI document describes every response. Every refusal is application/problem+json, with a JSON pointer for each invalid field.
//
// # How it fails
//
// Without the database it answers 503 with Retry-After. /readyz fails and /healthz does not, because a restart does not help. Requests beyond a limit are
// refused before they are read. On shutdown it accepts no new requests and finishes those in flight.
package storageapi
