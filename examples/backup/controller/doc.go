// Package controller keeps copies of ConfigMaps, and an audit trail of every copy.
//
// It shows the whole of what embedding an outbox asks of a controller: save through a Draft, write down what you are about to do before you do it, reserve
// room for its entries, and close the record when the resource is deleted. A Backup is long-lived: it never ends by itself.
//
//	Waiting ⇄ Copying → Copied → Copying → … → Deleted (final)
//
// A process that dies between the intent (Copying) and the outcome leaves Copying behind; the next one copies again, which is harmless, and then says
// Copied. The audit trail shows one CopyStarted and one CopyCompleted for it.
package controller
