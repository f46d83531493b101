//go:build unix

// Command chaos breaks things while Holdfast works, and asks the oracle (package oracle) whether the trail is whole.
//
//	make chaos SEED=7 RUNS=200 STORE=both
//
// # Model
//
// One world (etcd, kube-apiserver, PostgreSQL behind a proxy, managers as processes of their own) lives through many schedules. A schedule has a namespace,
// jobs that make resources and end them in several ways, and faults. All of it is drawn from the seed and the schedule's number (draw.go), so that
// a schedule can be run again by itself: -first names it, with -runs 1. What happens first inside a schedule is up to the machine.
//
// There are four such worlds, one after the other. In one, a manager drains into PostgreSQL. In the next, it knows only the Data Storage API (service.go):
// a storage service, itself behind a proxy, which is killed, stopped, paused and replaced too. In the third, two managers have a shard each (shards.go): faults meet them in turns,
// and shards move, to a standby, and from two managers to one and back. In the fourth (pooled.go), a manager reaches a primary with one or two standbys through PgBouncer. -store names some of them.
//
// A fault begins when a drawn number of entries was appended, so that it meets the work at any phase, or when nothing moves any more. After the faults
// everything is fixed, and the recovery is the time until all is durable that was appended by then. When the jobs are done too, the schedule waits until all
// records are closed and the oracle finds nothing wrong.
//
// In the fourth world, faults are failovers and full disks (pooled_faults.go, quorum.go). A Prometheus evaluates the rules that Holdfast ships, a minute of which is a second: a fault lasts until its alerts
// fire, and none is left after the schedule. `holdfast verify` is held against the oracle (forfeit.go). Poison, stripped finalizers and deleted namespaces are left out: they have alerts and findings of their own.
//
// # Invariants
//
//   - Finalizers are stripped, and resources replaced as a whole, only in schedules whose faults leave a manager watching: that is what is promised. The policy keeps the finalizer while the
//     record is open, but not once it has closed or is being deleted, so that there is a way out when no manager is left.
//   - What an asynchronous failover may lose is worked out when it happens: what the primary before had, the one now has not, and no resource holds once the relay must have noticed. Nothing else may be
//     lost, and verify names each lost entry, unless its resource is gone with its whole chain.
//   - The oracle decides, not the code under test. What it reports after the wait is a failure, printed in full.
//
// # How it fails
//
// A schedule that does not recover within its time is a failure with what is still wrong; the next one begins in a new namespace. The exit code is
// 1 when anything was lost, doubled, out of order, changed or not drained, and 2 when the world could not be built.
package main
