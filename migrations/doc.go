// Package migrations has the schema of the audit tables as numbered SQL, and what brings a database up to it.
//
// # Model
//
// Each file of sql/ is one migration: one transaction, which also writes the migration's version into holdfast_migrations. PostgreSQL's DDL is transactional, so
// whoever is killed half-way leaves whole migrations or none. A session lock lets one run at a time; the others wait, and find nothing left to do. Roles belong
// to the whole server, which that lock does not cover: their migration takes "exists already" as success.
//
// There is no way down: an audit trail is not dropped by its own program.
//
// # How it fails
//
// Check tells apart ErrMissing, ErrOlder, ErrDevelopment and ErrNewer, and each says which command to run. Up and Status return errors of the connection with what to do about
// them; no error contains the password.
package migrations
