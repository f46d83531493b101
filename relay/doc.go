// Package relay drains the outboxes of resources (package outbox) into a Store and acknowledges what is durable.
//
// # Model
//
// Each kind has one reconciler, which uses the informer of the kind's controller. All kinds share one flusher. The reconciler is level-triggered. It passes
// the entries above the watermark to the flusher, trims durable entries when a trim is due, and releases the finalizer when the record is closed and drained. It waits
// for the store only to confirm a watermark before a patch depends on it. The flusher commits in groups: if nothing is in flight, a flush starts at once. Entries that
// arrive meanwhile share the next flush. Namespaces take turns in a batch (queue.go): one with much to send delays the others by its share.
//
//	r, err := relay.Add(mgr, store, relay.Config{}, &v1alpha1.Backup{})
//	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r) // status writes drop what r knows to be durable
//
// A program without a manager uses New and Run.
//
// Files: tracker.go keeps the state by uid; resource.go and watermarks.go have the state of one resource. queue.go has the order in which they are sent; batch.go moves entries from the queue to the store
// and back. sizer.go, backlog.go, outage.go, orphans.go, letters.go and database.go each have one concern of the tracker. flusher.go has the loop; reconciler.go and patch.go have
// the writes to the API server.
//
// # Invariants
//
//   - A watermark is a sequence and the hash of that entry. It moves only after the store has acknowledged the COMMIT.
//   - An entry leaves its resource only if a watermark with the same hash covers it; every patch tests uid and headHash.
//   - The finalizer is removed only if the outbox is closed and its head is durable. The patch tests both.
//   - All state is in memory. After its loss, entries are inserted again, which changes nothing in the store.
//
// # How it fails
//
// The store is away: one breaker stops all flushing. It probes with a jittered backoff of at most 15 s (longer if the store asks for it), one probe at a time. Controllers continue,
// and outboxes fill up to their limits.
//
// An entry is bad: it becomes a dead letter, in the same transaction as the rows of the other entries. An Event on its resource reports it (letters.go). An entry of an unsupported schema
// version stays pending, and so do later entries of its resource; it is parked for five minutes, then sent again.
//
// The store is slow: a batch that exceeds the relay's timeout or a limit of the store is halved, down to a thousandth. If smaller batches succeed and the
// next larger one times out again, batches stay small for two minutes before a larger one is tried.
//
// A resource vanishes with undrained entries, because its finalizer was stripped: the relay drains them from memory, within bounds of all and of each namespace. Entries that no running relay observed are
// lost; `holdfast verify` reports the record.
//
// The database was replaced, or has an older state (a failover, a restored backup). Recovery is a state of the tracker:
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
// A batch that was dequeued before the outage began does not end it: its result is ignored, and it is sent again.
//
// During an outage nothing is trimmed or released, and entries that are still in resources are sent again. With the first entry of each resource the relay asks whether the
// store has the previous one, and reports it if not. After a restore of etcd, new entries may have the id or sequence of existing rows. They become dead letters, with a counter and an
// Event; nothing is overwritten.
//
// A store that is Identified reports which database it uses. The relay asks it before each trim and release, and every second while resources have durable entries.
// A different database counts as an outage, even if no write failed. Between two answers controllers trust a watermark for three seconds.
//
// If more than a batch is queued, for example after an outage, trims and releases wait for at most half a minute.
//
// Several relays may run at once: inserts are idempotent and patches are guarded. Leader election saves work; safety does not depend on it.
package relay
