// Package pool runs work that takes longer than a reconcile may: an investigation, a delivery.
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
//   - A resource that found no slot is woken when one is free, in the order of asking. It holds no claim on that slot, and may have to ask again.
//   - A result stays in memory until its resource drops it. A conflict while it is saved costs no second attempt.
//   - An attempt holds its slot until its function returns, also after it was cancelled.
//
// # How it fails
//
// The pool keeps nothing that survives the process. Close cancels all attempts, waits for them and discards their results: what an interrupted attempt achieved is not
// known, so the next process finds it unfinished and decides what that means.
package pool
