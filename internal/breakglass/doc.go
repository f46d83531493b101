// Package breakglass exports audit entries from resources, and imports them into a database later. It is for the case that the relay cannot drain them, and
// somebody has to proceed.
//
// # Model
//
// An export is a file of JSON lines: a header, then one line for each pending entry with its resource. An entry is copied exactly, so that its id and hash can be
// recomputed. Export only reads. Release removes the finalizer from resources stuck in deletion, but only after their entries are in a file on disk. Import stores
// the entries of a file as rows, as the relay would have.
//
// # Invariants
//
//   - One JSON patch removes a finalizer. It tests the uid of the resource and the hash of its newest entry, so only a resource in the exported state is released.
//   - An export is complete or absent: it is written beside its target and moved there, is readable by its owner only, and never replaces a file.
//   - Importing is idempotent: ids of entries are fixed, and rows are inserted as by the relay. An entry that was altered in the file becomes a dead letter.
//
// # How it fails
//
// A resource that changed after it was read keeps its finalizer, and an error reports it. A line that cannot be read is reported with its number and skipped; the
// others are imported. A file with fewer entries than its header says is truncated.
//
// If the record of a resource was open when it was released, it has no end: nobody can append one. `holdfast verify` reports it as unfinished, which is correct.
package breakglass
