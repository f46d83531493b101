// Package httpapi is the frame of Holdfast's REST services: listeners, routes, answers, probes, and limits. What a service does is its own.
//
// # Model
//
// A Server has routes by path, and answers /openapi.json, /docs, /healthz, /readyz and /metrics by itself. Every refusal is a Problem, application/problem+json
// (RFC 9457). An Exchange is a request's answer and what the access log says of both.
//
// # Invariants
//
//   - A request is counted and logged once, whatever happens. Paths that callers invent make no metric series.
//   - A panic ends one request, with 500.
//   - Health and readiness take no token, and readiness asks the database at most once a second.
//
// # How it fails
//
// A server that is told to stop takes nothing new, and finishes what it has taken within Grace. Requests that are still under way StreamGrace after that have their context
// ended: those are streams, and end with what they have sent.
package httpapi
