// Package outbox lets a controller write a state change of a resource and the audit entry that describes it in one update of the
// resource's status.
//
// # Model
//
// The resource is the buffer. Its status holds an outbox: a bounded list of entries, numbered gaplessly from 1 and chained by hash.
// A controller changes the status, names the change and saves both with one PUT of the status, guarded by the resource version: neither
// exists without the other. A relay (package relay) makes the entries durable elsewhere and acknowledges them. A finalizer
// holds the resource until its outbox is closed and every entry is durable. Controllers never wait for the store.
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
//   - An entry's id depends on (uid, sequence) alone, its hash on everything that the entry says and on the hash before it.
//   - Entries leave the outbox only when a watermark of the relay, sequence and hash, covers them.
//   - Closed is final: after the entry that ends the record nothing can be appended. The CRD's rule holds this too.
//   - A Save that meets a conflict puts the same entry again only if nobody changed uid, spec, head or status in between (the relay trimmed,
//     somebody set a label). Any other conflict goes to the caller, who starts over from what is there.
//   - A resource that is being deleted and lacks the finalizer gets no entries.
//
// # How it fails
//
// Save returns a conflict, ErrReleased, ErrOversized, an error of a change that cannot be appended (ErrInvalid, ErrTooLarge, ErrClosed, ErrFull), or an error of the API server, after
// which nothing is known: the write may have happened. So save what you are about to do before you do it. After any error the draft is spent (ErrSpent). AsReconciler turns each
// error into what a workqueue should do.
package outbox
