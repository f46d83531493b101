// Package aianalysis investigates a workload, recommends a workflow of the catalogue, and takes up the decision on it.
//
// # Model
//
//	Pending ──> Investigating ──> AwaitingApproval ──> Completed, Rejected, TimedOut (expired)
//	                 │ └─────────────────────────────> Completed (approved by the policy, or nothing to do), Failed, TimedOut
//	                 └──> (from any of these) Cancelled
//
// An Investigator (packages rules and holmesgpt) is asked in a goroutine of its own, not in a worker of the controller: a language model may take minutes, while
// other analyses are cancelled, decided or expire. So many run at once as there are slots; who finds none waits in Pending, or in its backoff. Each attempt has a
// deadline. Its answer stays in memory until it is saved, so a conflict costs no second investigation.
//
// # Invariants
//
//   - The attempt's number is saved before the investigator is asked. A process that finds an attempt which it does not run itself waits for the attempt's deadline (another manager
//     may run it), then takes it as failed and asks again, with the next number: an investigation only reads, so what cannot be known is repeated, and the trail says so.
//   - What an investigator says is kept only as investigator.Check returns it.
//   - A person's decision counts only while the admission policy holdfast-approval, which makes sure that decidedBy is the caller and may approve, is in force (guard.go).
//     It is looked at once there is a recommendation, and not after approvalTimeout; a decision that is there before decides, also where the policy would have approved.
//   - The time of a decision is when the controller took it up.
//   - Cancellation and deletion stop an investigation at once, by its context.
//
// # Entries
//
// Created (only if it has to wait for a slot), InvestigationStarted, InvestigationAttemptFailed, then InvestigationCompleted with everything that was found; it closes the record when
// nothing is to be done, and else comes with the request for approval. Approved, Rejected, AutoApproved (which also has what was found), ApprovalExpired, InvestigationFailed,
// InvestigationTimedOut and Cancelled close the record.
//
// # How it fails
//
// An attempt that fails is repeated a few times with a growing pause, within spec.timeout. Then the analysis is Failed, or TimedOut. An outbox without room keeps the state as it is.
package aianalysis
