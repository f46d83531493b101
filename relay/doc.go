// Package relay drains the outboxes of resources (package outbox) into a Store and acknowledges what is durable.
//
// # Model
//
// One reconciler a kind, over the informer that the kind's controller has anyway, and one flusher for all. The reconciler is level-triggered and waits
// for the store only to confirm a watermark before a patch rests on it: it hands the entries above the watermark to the flusher, trims what is durable when a trim is due, and releases the
// finalizer when the record is closed and drained. The flusher commits in groups: with nothing under way a flush starts at once, and
// what arrives meanwhile shares the next one.
//
//	r, err := relay.Add(mgr, store, relay.Config{}, &v1alpha1.Backup{})
//	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r) // status writes drop what r knows to be durable
//
// # Invariants
//
//   - A watermark moves only after the store acknowledged its COMMIT, and holds a sequence and that entry's hash.
//   - An entry leaves its resource only if a watermark with the same hash covers it; every patch of ours tests uid and headHash.
//   - The finalizer goes only from a closed outbox whose head is durable, in a patch that tests both.
//   - Losing all memory costs nothing but inserting again what is there already.
//
// # How it fails
//
// While the store is away one breaker holds all flushing back, with a jittered backoff of at most 15 s (longer if the store asks for it) and one probe at a time; work goes on, and outboxes
// fill up to their limits. A bad entry goes to the store's dead letters in the same transaction as its neighbours' rows. An entry whose schema version is unknown
// stays pending, and those behind it too; the store is asked again every five minutes. A flight that is late, by the relay's clock or by a limit of the store's own, is halved, down to a
// thousandth. If smaller ones arrive, and the next larger one is late again, the store is slow, not away: they stay small for two minutes before a larger one is tried. A resource that vanishes with undrained entries (its finalizer was stripped) is drained from
// memory; what a stopped process misses of such resources cannot be saved, and `holdfast verify` reports it.
//
// A store may come back older than it was (a restored backup, a failover). When an outage begins the relay forgets its watermarks, so that nothing is let go meanwhile and
// what still stands in the resources is sent again, whole; the first flight afterwards counts only for what it carried whole. With the first entry of each resource it asks whether the
// store has the one before; where it has not, it says so. A restored etcd shows as entries whose places are taken: dead letters, a counter and an Event; nothing is overwritten.
//
// A store that is Identified says which database it has. It is asked before each trim and release, and every second while resources hold entries that are durable; another database is an
// outage, of which nobody had to notice anything. Between two answers controllers believe a watermark for three seconds.
//
// While more than a batch waits, as after an outage, trims and releases wait too, for half a minute at most.
//
// Several relays may run at once: inserts are idempotent and patches are guarded. Leader election saves work; safety does not depend on it.
//
// # Simulation
//
// Beside the tests on real servers, simulation_test.go runs the Writer and this package against models of an API server and a store, which say only what the
// protocol leans on, through tens of thousands of interleavings: what no real server does on demand.
package relay
