// Package postgres keeps audit entries as rows in PostgreSQL: it is the relay's Store, and it reads them back for verify.
//
// # Model
//
// Persist is one transaction: one INSERT a table in a fixed order, rows sorted by id, then the dead letters. Ids follow from (uid, sequence), and ON CONFLICT DO
// NOTHING (without a target, so that it covers both unique indexes) makes it idempotent: what was there already is read back by id and hash in the same
// transaction, and told apart from another entry that has its id or sequence.
//
// Rows go to the server as bound arrays, one a column (INSERT … SELECT FROM unnest($1, $2, …)), not through bun's literals: those lose NULs silently and break a
// jsonb text that legitimately holds \\u0000. The statement's text does not depend on the number of rows, so it is prepared once a connection. What PostgreSQL
// cannot hold it refuses, and the entry becomes a dead letter: nothing is repaired or cut on the way.
//
// A transaction that writes takes two round trips: BEGIN, the settings and the INSERTs of all tables are one pipeline on the driver's connection below bun, COMMIT is the second. The
// careful way, rows that were there before and dead letters take more. bun has the connections, the models and the reading.
//
// # How it fails
//
// A value that the migrated column does not take is a dead letter without a try (check.go). A redrive asks the database, whose column may be wider by now.
//
// The whole batch is tried without savepoints first. When the data of some row is refused (SQLSTATE classes 22, 23 and 54, 42601), the transaction starts over with
// savepoints and halves the batch until the bad rows stand alone; they become dead letters, the others rows. If every row of a table is refused, a row that is
// known to be good is tried (and rolled back): when that fails too, it is not the entries but the table, and nothing is dead-lettered.
//
// An outcome that rests on what another transaction wrote is acknowledged only after a COMMIT that waited for standbys as ours do: see ownRecord. Errors of the session close the pool's other
// sessions too: see transact.
//
// Deadlocks and serialization failures (class 40) start over at once, a few times. Errors that need a person wrap relay.ErrSchema and say what to run. All other
// errors are transient: the relay sends the same entries again, and those whose COMMIT was done after all come back as Present.
package postgres
