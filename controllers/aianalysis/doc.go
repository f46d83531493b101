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
//   - An investigator's answer is stored only as investigator.Check returns it.
//   - A person's decision counts only while the admission policy holdfast-approval, which verifies that decidedBy is the caller and may approve, is in force (guard.go).
//     The controller acts on a decision when there is a recommendation, and not after approvalTimeout. A decision that exists before the recommendation counts even if spec.approval
//     would approve automatically.
//   - The time of a decision is when the controller accepted it.
//   - Cancellation and deletion stop an investigation at once, by its context.
//
// # Entries
//
// Created (only if it has to wait for a slot), InvestigationStarted, InvestigationAttemptFailed, then InvestigationCompleted with the whole finding. It closes the record if
// no action is needed; otherwise it also requests the approval. Approved, Rejected, AutoApproved (which also has the finding), ApprovalExpired, InvestigationFailed,
// InvestigationTimedOut and Cancelled close the record.
//
// # How it fails
//
// A failed attempt is repeated a few times with increasing backoff, within spec.timeout. Then the analysis is Failed, or TimedOut. While the outbox has no room, the state does not change.
package aianalysis
