// Package operator puts the four controllers and the relay into one process.
//
// It starts without the database: controllers append, and the relay drains when the store is there. Liveness and readiness say nothing about the database either,
// since restarting a manager repairs no database.
package operator
