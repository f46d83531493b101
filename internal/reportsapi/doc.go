// Package reportsapi is the Report API: Remediation Analysis Reports over REST, from the rows that the audit trail has.
//
// # Model
//
// A request passes, in this order, the gate (how many are under way), the authorizer (who calls, and which rows may they see), the caller's rate, its parameters, and a
// place among those that read. A report is read in one snapshot of the database that only reads, with the rights of holdfast_reader, built by package rar without further questions, and
// written after the snapshot has ended: a slow caller holds no session. Streams are read in pages, some reports in one snapshot: how many questions that takes does not depend on how many they are.
// While some are built and written, the next are read.
//
// # Who may see what
//
// A caller who may get (of lists: list) remediationreports.holdfast.dev in every namespace sees every row. Another one sees the rows of resources of this cluster, in namespaces that are there
// now and where the caller may do so, made after the namespace was: what is left of a deleted namespace is not for whoever makes one of its name. Rows without a place
// in an outbox are in no namespace. This set is found before any row is read, and does not depend on the rows: what a caller may not see changes neither status nor
// count, cursor, ETag, nor the number of queries and reviews. Not allowed and not there are both 404.
//
// # How it fails
//
// It writes nothing, and works on a hot standby. Without the database it answers 503 with Retry-After within a second and goes on by itself when the database is back; /readyz fails meanwhile,
// /healthz does not. Too many requests are refused before they are read. A stream that ends without its last line was cut.
package reportsapi
