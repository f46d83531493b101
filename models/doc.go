// Package models has the audit records and the rows that they become.
//
// A record is what one entry says of a resource: it is the payload of an outbox entry and the body of a REST call, and its JSON names are the
// names of its columns. A row is an Envelope (where and when, and the hash chain) and a record. Absent optional fields are omitted in JSON and NULL in a
// row. Times are UTC with microseconds; durations are whole seconds unless a name says otherwise.
package models
