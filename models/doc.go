// Package models defines the audit records, and the rows that they become.
//
// A record is the payload of an outbox entry and the body of a REST request. Its JSON names are the names of its columns. A row is an Envelope (origin, time and hash
// chain) and a record. Absent optional fields are omitted in JSON and NULL in a row. Times are UTC with microseconds. Durations are whole seconds unless the name says
// otherwise.
package models
