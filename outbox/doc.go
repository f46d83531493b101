// Package outbox lets a controller write a state change of a resource and the audit entry that describes it in one update of the
// resource's status.
//
// # Model
//
// The resource is the buffer. Its status holds an Outbox: a bounded list of entries, numbered gaplessly from 1 and chained by hash.
// A controller changes the status, appends an entry and saves both with one PUT of the status, guarded by the resource version: neither
// exists without the other. A relay (package relay) makes the entries durable elsewhere and acknowledges them; a finalizer
// holds the resource until its outbox is closed and empty. Controllers never wait for the store.
//
// # Use
//
// Embed Outbox in a status, implement Object (two methods), and save through a Draft:
//
//	draft := writer.Draft(obj)               // obj as it was read; change it freely
//	if ok, err := draft.Reserve(ctx, 2); !ok { return ctrl.Result{}, err } // room before acting
//	obj.Status.Phase = "Copying"
//	err := draft.Save(ctx, &outbox.Change{Kind: "backups.example.com", Event: "CopyStarted", Phase: obj.Status.Phase, Record: recordOf(obj)})
//
// # Invariants
//
//   - An entry's id depends on (uid, sequence) alone, its hash on everything that the entry says and on the hash before it.
//   - Entries leave the outbox only when a Watermark, sequence and hash, covers them.
//   - Closed is final: after the entry that ends the record nothing can be appended. The CRD's rules hold this too.
//   - A Save that meets a conflict puts the same entry again only if nobody changed uid, spec, head or status in between (the relay trimmed,
//     somebody set a label). Any other conflict goes to the caller, who starts over from what is there.
//   - A resource that is being deleted and lacks the finalizer gets no entries.
//
// # How it fails
//
// Save returns a conflict (start over; IgnoreConflict turns it into silence), ErrReleased (the resource is on its way out without us), ErrOversized (it is too large to audit, and not held), an
// error of Append (the change is wrong: ErrInvalid, ErrTooLarge, ErrClosed, ErrFull), or an error of the API server, after which
// nothing is known: the write may have happened. So write down what you are about to do before you do it.
package outbox
