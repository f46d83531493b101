// Package testenv gives test suites a real API server with Holdfast's CRDs and policies, a real PostgreSQL with its schema, and managers that run the
// real relay between the two. Only tests import it.
package testenv
