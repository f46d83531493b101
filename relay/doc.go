// Package relay drains the outboxes of resources (package outbox) into a Store and acknowledges what is durable.
//
// # Model
//
// There is one reconciler for each kind, over the informer that the kind's controller has anyway, and one flusher for all. The reconciler is level-triggered. It hands
// the entries above the watermark to the flusher, trims what is durable when a trim is due, and releases the finalizer when the record is closed and drained. It waits
// for the store only to confirm a watermark before a patch rests on it. The flusher commits in groups: with nothing in flight a flush starts at once, and what
// arrives meanwhile shares the next one.
//
//	r, err := relay.Add(mgr, store, relay.Config{}, &v1alpha1.Backup{})
//	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r) // status writes drop what r knows to be durable
//
// A program without a manager has New and Run.
//
// The parts: tracker.go is the memory, by uid; resource.go and watermarks.go are what it knows of one resource. batch.go moves entries from the queue to the store
// and back. sizer.go, backlog.go, outage.go, orphans.go, letters.go and database.go each have one concern of it. flusher.go is the loop, reconciler.go and patch.go the writes
// to the API server.
//
// # Invariants
//
//   - A watermark moves only after the store acknowledged its COMMIT, and has a sequence and that entry's hash.
//   - An entry leaves its resource only if a watermark with the same hash covers it; every patch of ours tests uid and headHash.
//   - The finalizer goes only from a closed outbox whose head is durable, in a patch that tests both.
//   - Losing all memory costs nothing but inserting again what is there already.
//
// # How it fails
//
// The store is away: one breaker stops all flushing, with a jittered backoff of at most 15 s (longer if the store asks for it) and one probe at a time. Work goes on,
// and outboxes fill up to their limits.
//
// An entry is bad: it goes to the store's dead letters in the same transaction as its neighbours' rows, and an Event on its resource says so (letters.go). An entry of an unsupported schema version stays pending, and
// those behind it too; it is parked for five minutes, then sent again.
//
// The store is slow: a batch that is late, by the relay's clock or by a limit of the store's own, is halved, down to a thousandth. If smaller ones arrive, and the
// next larger one is late again, batches stay small for two minutes before a larger one is tried.
//
// A resource vanishes with undrained entries, since its finalizer was stripped: the relay drains them from memory. Entries that a stopped process missed cannot be
// saved; `holdfast verify` reports the record.
//
// The database is another one, or older than it was (a failover, a restored backup). Recovery is a state of the tracker:
//
//	         the store fails, or another database answers:
//	         all watermarks are invalidated
//	steady ───────────────────────────────────────────────> outage
//	  ^                                                       │
//	  │   a batch commits: it proves what it carried whole;   │
//	  │   all else stays invalidated and is sent again        │
//	  └───────────────────────────────────────────────────────┘
//	      or the store answers, and nothing is queued
//
// A batch that was dequeued before the outage began does not end it: it counts for nothing, and is sent again.
//
// So nothing is trimmed or released meanwhile, and entries that are still in resources are sent again. With the first entry of each resource the relay asks whether the
// store has the one before, and reports where it has not. A restored etcd shows as entries whose id or sequence is used: dead letters, a counter and an
// Event; nothing is overwritten.
//
// A store that is Identified says which database it has. It is asked before each trim and release, and every second while resources have entries that are durable.
// Another database is an outage that nobody needs to have noticed. Between two answers controllers trust a watermark for three seconds.
//
// More than a batch waits, as after an outage: trims and releases wait too, for half a minute at most.
//
// Several relays may run at once: inserts are idempotent and patches are guarded. Leader election saves work; safety does not depend on it.
package relay
