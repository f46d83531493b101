// Package remediation orchestrates a RemediationRequest from the alert to the notification. It creates one child resource for each of analysis, workflow and
// notification, and keeps the timeline.
//
// # Model
//
// A request moves through its phases as its children end. What comes next is a pure function of the request, its children and the clock (plan.go). The phases create
// children and save.
//
// A child is created first. The next write names it and enters the phase that waits for it. The child's name follows from the request's name and uid, so the process
// that follows a crash between the two writes finds the child. A child that is named but gone was deleted by somebody. It is not made again, because its effects would
// be repeated.
//
// A resource that has a child's name is adopted only if the request would make exactly this resource now. Any other is a foreign child (foreign.go): it is put on record,
// cancelled if it claims to be the request's child, and the child gets another name.
//
// A child that the API server does not take now, because a quota is full or the like, is tried again until the time of the phase is over (blocked.go).
//
// Requests that acted are the memory of the cool-down: they hold back later requests of the same alert and target, and are not deleted before it is over (cooldown.go).
//
// # Endings
//
// Cancelled and deleted requests cancel their children, make no new ones and end when all of them are closed, so that the last entry has the whole
// timeline. When the total time is over the running child is cancelled and people are told. All other endings are told before the record closes.
// A notification that fails does not change the outcome.
package remediation
