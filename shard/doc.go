// Package shard divides the resources of some kinds among several managers, each of which sees a part of them only.
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
// A resource has a key: its uid, its namespace, or what a function says. The first 64 bits of the key's SHA-256 fall into one of Total contiguous ranges of equal
// size, and the range's index is the shard.
//
// The filter is the manager's cache. It answers reads, lists and events as if what belongs to other shards were not there, so that no controller and no relay
// (package relay) needs to know of shards. Kinds that are not divided are left as they are.
//
// # Invariants
//
//   - Every key is in exactly one shard of a Total.
//   - A resource whose name is made again belongs where its new uid says. The manager that had the old one sees that go, also where the watch tells it as an update.
//   - Resources that read each other need the same key (WithKey): a parent's uid for its children, for instance. A key must not change while the resource lives.
//
// # How it fails
//
// The watch itself is not divided: each manager receives the events of all shards and throws away what is not its own, but for the name. So memory and work are divided, the API
// server's watch traffic is not.
//
// A shard without a manager waits: nothing happens to its resources, and those with a finalizer stay in deletion. While Total changes, managers with the old number
// and with the new one may run at once, and take a resource for theirs both. Whether that does harm is up to the controllers; the outbox and the relay bear it.
package shard
