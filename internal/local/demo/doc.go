// Package demo shows Holdfast at work: `make demo`, or `holdfast demo`.
//
// # Model
//
// The demo is a play with a stage of its own: package dev starts a local cluster, PostgreSQL, the manager and the storage service, each a real server. In the
// namespace shop some workloads fail for real (the pods of the simulated node do), their alerts become remediations, and in the middle the database is stopped and
// the manager killed. Then records are posted from outside, each twice; they have no resource, so the step itself counts their rows.
//
// The narrator prints what happens, as it happens, from a watch of the four kinds (feed.go). The witness is the oracle of package test/oracle. It records every
// audit entry that the API server commits, and shares no code with what fills or drains an outbox. At the end it compares its record with the tables
// (verdict.go): every entry must be there exactly once, with the hash that it had in its resource.
//
// # Invariants
//
//   - Nothing of the machine's own is used: no KUBECONFIG, no HOLDFAST_* variable.
//   - What a step says has been observed. A step that sees something else than it should is an error, and so is a resource that ends in another way.
//   - Nothing is waited for by the clock alone; each wait has a bound, and its error says what was waited for and what was seen.
//
// # How it fails
//
// Run returns an error when a server does not start, a step does not come to its end, or the verdict is not clean. The logs are then kept, and the error says
// where. Everything that was started is gone when Run returns, also when its context was cancelled, and also when the process is killed.
package demo
