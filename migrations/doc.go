// Package migrations contains the schema of the audit tables as numbered SQL, and upgrades a database to it.
//
// # Model
//
// Each file in sql/ is one migration. It runs in one transaction, which also writes its version to holdfast_migrations. DDL in PostgreSQL is transactional, so an
// interrupted run leaves only complete migrations. A session lock allows one run at a time; other runs wait, and then have nothing to do. Roles belong to the whole
// server, which the lock does not cover, so their migration treats "already exists" as success.
//
// There is no downgrade: a program does not drop its own audit trail.
//
// # How it fails
//
// Check returns ErrMissing, ErrOlder, ErrDevelopment or ErrNewer, each with the command to run. Connection errors of Up and Status say what to do. No error contains
// the password.
package migrations
