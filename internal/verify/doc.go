// Package verify proves that the trail is whole: every chain, from the bytes that were hashed to the columns that people read, and on to the live resources.
//
// # Model
//
// The rows are read once, in one snapshot, in the order of the chains. Each entry's text is hashed and decoded; its hash, id, place and columns must follow from
// it, and its previousHash must be the hash of the entry before. Dead letters are in the chain like rows. Rows that were posted over REST have no chain: their
// columns are held against what was posted.
//
// With a cluster, the live outboxes are the other end: they hold each chain's head hash, out of the database's reach. They are listed before the rows are read,
// so whatever a resource shows as durable must be in the snapshot; entries that were not drained yet are no finding. What looks wrong only because the
// world moved on (a resource made or ended in between) is looked at again, resource first and rows after, before it is called a finding: so verify may run
// beside a manager.
//
// Memory: one entry of each chain at a time, and a few hundred bytes for each live resource and for each entry that it holds.
//
// # What it cannot see
//
// A chain that was removed or rewritten whole after its resource was gone, and without a cluster a chain that was cut at its end. A standby that lags behind
// looks as if rows were missing: verify the primary, or a standby that has caught up.
package verify
