// Package shard divides the resources of some kinds among several managers. Each manager sees only the resources of its shard.
//
//	s := shard.Shard{Index: 0, Total: 2}
//	mgr, err := ctrl.NewManager(config, ctrl.Options{
//		NewCache:         shard.NewCache(s, []client.Object{&v1.Backup{}}),
//		LeaderElection:   true,
//		LeaderElectionID: "backup-operator-" + s.String(), // backup-operator-0-of-2
//	})
//
// # Model
//
// A resource has a key: its uid, its namespace, or the result of a function. The first 64 bits of the SHA-256 of the key fall into one of Total contiguous ranges of
// equal size. The index of the range is the shard.
//
// The manager's cache is the filter. Its reads, lists and events do not contain resources of other shards, so controllers and the relay (package relay) need
// not know about shards. Kinds that are not divided are not filtered.
//
// # Invariants
//
//   - Every key is in exactly one shard of a Total.
//   - A resource that is created again under the same name belongs to the shard of its new uid. The manager of the old uid gets a delete event, even if the watch
//     reports an update.
//   - Resources that read each other need the same key (WithKey), for example the uid of the parent. A key must not change during the life of a resource.
//
// # How it fails
//
// The watch is not divided. Each manager receives the events of all shards and discards those of other shards, except the name. So memory and work are divided,
// but the watch traffic of the API server is not.
//
// A shard without a manager waits: its resources are not reconciled, and those with a finalizer stay in deletion. While Total changes, managers with the old and
// the new number may run at once, and two of them may handle the same resource. The outbox and the relay tolerate that; other controllers must too.
package shard
