// Package recovery tries the runbooks of docs/operations.md for bad days: what hangs in deletion, a database that is gone, an installation that was removed in the
// wrong order, and etcd and PostgreSQL restored to older states. It does what they say with the commands that they name, on a real API server and PostgreSQL.
package recovery
