// Package oracle reports whether an audit trail is whole, without a line of the code that made it.
//
// # Model
//
// It watches the API server from before a run, as anybody with kubectl could, and writes down every entry of every revision of every resource that has
// an outbox. It works out ids and hashes by itself, from the text of the contract: an id is a UUIDv8 of the resource's creation time and SHA-256(uid/sequence),
// a hash is SHA-256 over RFC 8785 JSON. At the end it reads the tables with plain SQL and compares.
//
//	o, err := oracle.Start(ctx, config)        // before the first resource is made
//	…
//	report, err := o.Judge(ctx, connection)    // when everything should be durable
//	if !report.Clean() { report.Write(os.Stdout) }
//
// # Invariants
//
//   - It imports nothing of Holdfast (depguard, rule oracle): a mistake in the outbox can't be repeated here unnoticed.
//   - Every position that a resource ever claimed (1 to lastSequence) counts as appended, seen or not.
//   - It never writes, neither to the API server nor to the database.
//
// # How it fails
//
// A watch that breaks goes on from the last revision. When the API server has forgotten that one (410, as after each of its restarts), the oracle lists
// what is there and then reads the revisions in between one by one, with lists at an exact resourceVersion, which come from etcd. Only if etcd has compacted
// them away is there a gap, and the report has it as a difference: a run with a gap proves nothing.
//
// A position whose content was never seen (it was there before Start) is held to its id, to the text's hash and to the chain alone, and counted as unseen.
package oracle
