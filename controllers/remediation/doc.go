// Package remediation orchestrates: it takes a RemediationRequest from the alert over analysis, approval and workflow to the notification, by making one child
// resource for each, and keeps the timeline.
//
// # Model
//
// A request moves through its phases as its children end. What is next is a pure function of the request, its children and the clock (plan.go); the phases make
// children and save. A child is made first and named in the same write as the phase that waits for it: its name follows from the request's name and uid, so
// a crash between the two finds the child again. A child that is named but gone was deleted by somebody, and is not made again: its effects would be repeated.
//
// # Endings
//
// Cancelled and deleted requests cancel their children, make no new ones and end when all of them are closed, so that the last entry has the whole
// timeline. When the total time is over the running child is cancelled and people are told. All other endings are told before the record closes.
// A notification that fails does not change the outcome.
package remediation
