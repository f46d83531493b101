// Package examples retrofits the projects of examples/ with an outbox, as their authors would, and breaks things while they run.
//
// A project is copied, its retrofit.patch applied, its generated files made anew, and its operator built and run as a process of its own, with the rights of
// its config/rbac and no others. Each then goes through an outage of the store, kill -9, and a finalizer that somebody strips. `holdfast verify` has the last word.
package examples
