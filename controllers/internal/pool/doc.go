// Package pool runs work that is too slow for a reconcile: an investigation, a delivery.
//
// # Model
//
// A controller saves the attempt that it is about to make, and then starts it here, in a goroutine. Its workers stay free for other resources. When the attempt has
// ended, the pool wakes the resource's reconciler, which looks up the result, saves it and drops it.
//
//	Acquire a slot ─> save the intent ─> Start ─> (goroutine) ─> wake ─> Look ─> save the result ─> Drop
//	                         └─ failed ─> Release
//
// # Invariants
//
//   - At most Slots attempts run at once, and at most SlotsPerNamespace of one namespace, so that no namespace can use all of them.
//   - A resource that got no slot is woken when one is free, in order of request. The slot is not reserved for it, so it may have to ask again.
//   - A result stays in memory until its resource drops it. A conflict while it is saved costs no second attempt.
//   - An attempt holds its slot until its function returns, also after it was cancelled.
//
// # How it fails
//
// The pool keeps nothing that survives the process. Close cancels all attempts, waits for them and discards their results: the effect of an interrupted attempt is not
// known. The next process finds the attempt unfinished and decides what to do.
//
// An attempt that panics has failed, and its stack is in the log. The others go on.
package pool
