// Package scaffold works out the lines that give a kind of an existing project an outbox: the field and the marker of its status, the rights of its controller, the
// wiring in main.go, and the function that says what the audit trail keeps.
//
// # Model
//
// A project has the shape that kubebuilder gives it: a types file with the kind, a struct <Kind>Reconciler that embeds client.Client, and a main.go that makes one with
// Client: mgr.GetClient(). The reconciler may have another name and its client in a field, and main.go may call a constructor that takes the client. Where the place that makes the
// reconciler cannot be changed safely, as a constructor that takes the manager, the lines for it are a note of the plan.
//
// Files are parsed to find places, and changed as text: what is not changed keeps its form, byte for byte. Each piece is left out where it is
// there already, so that a second run changes nothing.
//
// # How it fails
//
// What does not have this shape is refused with a RefusalError, which names the place, what was expected there, and the part of docs/embedding.md that says how to do it by hand. Nothing is
// written unless every piece could be worked out and every changed file can still be parsed.
package scaffold
