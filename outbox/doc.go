// Package outbox lets a controller write a state change of a resource and the audit entry that describes it in one update of the
// resource's status.
//
// # Model
//
// The resource is the buffer. Its status has an outbox: a bounded list of entries, numbered from 1 without gaps and chained by hash.
// A controller changes the status and saves it with the entry in one write of the status, guarded by the resource version: neither
// exists without the other. A relay (package relay) copies the entries to a store and acknowledges them. A finalizer
// keeps the resource until its outbox is closed and every entry is durable. Controllers never wait for the store.
//
// # Use
//
// A kind embeds outboxapi.Status in its status and has one method, OutboxStatus (see Object). Its controller gets a Draft with each resource:
//
//	r, err := relay.Add(mgr, store, relay.Config{}, &backupv1.Backup{})
//	…
//	writer := outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), r)
//	err = ctrl.NewControllerManagedBy(mgr).For(&backupv1.Backup{}).
//		Complete(outbox.AsReconciler(writer, outbox.Reconciler[*backupv1.Backup]{Reconcile: copyNow}))
//
//	func copyNow(ctx context.Context, b *backupv1.Backup, draft *outbox.Draft) (ctrl.Result, error) {
//		if err := draft.Reserve(ctx, 2); err != nil { // room before acting
//			return ctrl.Result{}, err
//		}
//		b.Status.Phase = "Copying"
//		return ctrl.Result{}, draft.Save(ctx, &outbox.Change{Kind: "backups.example.com", Event: "CopyStarted", Phase: b.Status.Phase, Record: recordOf(b)})
//	}
//
// # Invariants
//
//   - An entry's id depends only on the resource and the sequence. Its hash depends on the whole entry and on the previous hash.
//   - Entries leave the outbox only when a watermark of the relay, sequence and hash, covers them.
//   - Closed is final: after the final entry nothing can be appended. A rule of the CRD enforces this too.
//   - After a conflict, Save writes the same entry again only if uid, spec, head and status are unchanged (the relay trimmed, or
//     somebody set a label). Any other conflict is returned, and the caller starts over from the current version.
//   - A resource that is being deleted and lacks the finalizer gets no entries.
//
// # How it fails
//
// Save returns a conflict, ErrReleased, ErrOversized, an error for a change that cannot be appended (ErrInvalid, ErrTooLarge, ErrClosed, ErrFull), or an error of the API server. After
// the last one the write may have happened. So save an intent before you act on it. After any error the draft cannot be used (ErrSpent). AsReconciler turns each
// error into a result for the workqueue.
package outbox
