// Package aianalysis investigates a workload, recommends a workflow of the catalogue, and waits for the decision on it.
//
// # Model
//
//	Pending ──> Investigating ──> AwaitingApproval ──> Completed, Rejected, TimedOut (expired)
//	                 │ └─────────────────────────────> Completed (approved by the policy, or nothing to do), Failed, TimedOut
//	                 └──> (from any of these) Cancelled
//
// An Investigator (packages rules and holmesgpt) answers in a goroutine of its own (package pool), not in a worker of the controller: a language model may take minutes, while
// other analyses are cancelled, decided or expire. The number of slots bounds how many run at once. An analysis without a slot waits in Pending, or in its backoff. Each attempt has a
// deadline. Its answer stays in memory until it is saved, so a conflict costs no second investigation.
//
// # Invariants
//
//   - The attempt's number is saved before the investigator is asked. A process that finds an attempt which it does not run itself waits for the attempt's deadline, because another
//     manager may run it. Then the attempt counts as failed, and the process asks again with the next number. An investigation only reads, so repeating it is safe; the trail shows both.
//   - What an investigator says is kept only as investigator.Check returns it.
//   - A person's decision counts only while the admission policy holdfast-approval, which makes sure that decidedBy is the caller and may approve, is in force (guard.go).
//     The controller acts on a decision when there is a recommendation, and not after approvalTimeout. A decision that exists before the recommendation counts even where the policy
//     would have approved.
//   - The time of a decision is when the controller accepted it.
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
