// Package demo shows Holdfast at work: `make demo`, or `holdfast demo`.
//
// # Model
//
// Package dev starts a local cluster, PostgreSQL, the manager and the storage service, each a real server. In the namespace shop some workloads fail (the pods of the
// simulated node do), and their alerts become remediations. On the way the demo stops the database and kills the manager. Then it posts records over REST, each twice;
// these have no resource, so the step itself counts their rows.
//
// What a person would look at and decide with the plugin of kubectl, the demo shows by running it (plugin.go).
//
// The narrator prints what happens from a watch of the four kinds (feed.go). The witness is the oracle of package test/oracle. It records every audit entry that the
// API server commits, and shares no code with the outbox and the relay. At the end it compares its record with the tables (verdict.go): every entry must be there
// exactly once, with the hash that it had in its resource.
//
// # Invariants
//
//   - The demo ignores the configuration of the machine: KUBECONFIG and HOLDFAST_* variables.
//   - Every printed line was observed. A step that observes something unexpected fails, and so does a resource that ends in another way.
//   - No wait depends on the clock alone. Each wait has a limit, and its error says what it waited for and what it observed.
//
// # How it fails
//
// Run returns an error if a server does not start, a step fails, or an entry is lost or stored twice. The logs are then kept, and the error has their path. All servers
// are stopped when Run returns, also when its context is cancelled or the process is killed.
package demo
