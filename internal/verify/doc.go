// Package verify checks that the trail is complete and unaltered: every hash chain, the columns of its rows, and the newest entries of live resources.
//
// # Model
//
// The rows are read once, in one snapshot, in the order of the chains. Each text is hashed and decoded. Its hash, id, sequence and columns must match it, and its
// previousHash must be the hash of the previous entry. Dead letters are part of a chain like rows. Rows that were posted over REST have no chain: their
// columns are compared with the posted record.
//
// With a cluster, chains are also compared with the live outboxes, which have the newest hash of each chain where the database cannot change it. The outboxes are
// listed before the rows are read, so every entry that a resource shows as durable must be in the snapshot. Entries that are not drained yet are not findings. A
// mismatch can also arise because a resource was created or ended in the meantime. So it is checked again, the resource first and then the rows, before it becomes a
// finding. Therefore verify can run beside a manager.
//
// Memory: one entry per chain at a time, and a few hundred bytes per live resource and per entry in it.
//
// # Limits
//
// It cannot detect a chain that was completely removed or rewritten after its resource was deleted. Without a cluster, it cannot detect that the end of a chain was
// removed. On a standby that is behind, rows seem to be missing: verify the primary, or a standby that has caught up.
package verify
