// Package operator runs the four controllers and the relay in one process.
//
// The process starts without the database: controllers append entries, and the relay drains them once the store is available. Liveness and readiness do not check the
// database, because restarting a manager does not repair it.
package operator
