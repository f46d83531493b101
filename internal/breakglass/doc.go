// Package breakglass takes audit entries out of the resources that hold them, and brings them into a database later: for the day on which the relay cannot, and
// somebody has to go on.
//
// # Model
//
// An export is a file of JSON lines: a header, then one line for each entry that waits in an outbox, with the resource that it comes from. An entry is in it
// exactly as in the resource, so that its id and its hash can be worked out again. Export reads and changes nothing. Release takes the finalizer off resources
// that hang in deletion, but only once their entries are in a file on the disk. Import makes rows of a file's entries as the relay would have.
//
// # What always holds
//
//   - A finalizer is removed by one JSON patch that tests the resource's uid and the hash of its newest entry: what is released is what was exported, or nothing.
//   - An export is complete or not there: it is written beside its place and renamed, readable by its owner only, and never replaces a file.
//   - Importing is idempotent: entry ids are fixed, and rows are inserted as by the relay. An entry that was changed in the file becomes a dead letter.
//
// # How it fails
//
// A resource that changed after it was read keeps its finalizer, and says so. A line that cannot be read is named by its number and left out; the others are
// imported. A file with fewer entries than its header says was cut off.
//
// A record that was still open when its resource was released has no end: nobody appends one. `holdfast verify` reports it as unfinished, which is true.
package breakglass
