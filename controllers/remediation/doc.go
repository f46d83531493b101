// Package remediation orchestrates a RemediationRequest from the alert to the notification. It creates one child resource for each of analysis, workflow and
// notification, and keeps the timeline.
//
// # Model
//
// A request moves through its phases as its children end. What comes next is a pure function of the request, its children and the clock (plan.go). The phases create
// children and save.
//
// A child is created first. The next write names it and enters the phase that waits for it. The child's name follows from the request's name and uid, so the process
// that follows a crash between the two writes finds the child. If a named child is gone, somebody deleted it. It is not created again, because its effects would
// be repeated.
//
// A resource that has a child's name is adopted only if the request would create exactly this resource now. Any other resource is a foreign child (foreign.go). It is recorded, and
// cancelled if it claims to be the request's child. The child gets another name.
//
// If the API server refuses a child for a temporary reason, for example a full quota, the request retries until the phase times out (blocked.go).
//
// Requests that acted are the memory of the cool-down. Until it ends they are not deleted, and later requests of the same alert and target are not started (cooldown.go).
//
// # Endings
//
// Cancelled and deleted requests cancel their children, create no new ones, and end when all of them are closed, so that the last entry has the whole
// timeline. At the total timeout the running child is cancelled, and a notification is sent. All other outcomes are notified too, before the record closes.
// A notification that fails does not change the outcome.
package remediation
