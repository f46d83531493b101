// Package workflowexecution runs the steps of a WorkflowExecution on its target, checks the result, and rolls the steps back if it is not as expected.
//
// # Model
//
// One pass of Reconcile does one thing: it begins, continues or ends one step, checks the conditions, or undoes one step. It saves the result with its audit entry, and
// returns. The watch event of that write starts the next pass. Package action has what a step does, package condition what a condition means.
//
//	"" ─> Pending ─> Validating ─> Executing ─> Verifying ─> Completed
//	                     │             │  └────────┬────┘
//	                     v             v           v
//	                   Failed       Failed    RollingBack ─> Failed, TimedOut
//	                               TimedOut
//	Cancelled: from every phase; RollingBack is finished first.
//
// # Invariants
//
//   - The controller reads and changes the target only as the service account that the spec names, by impersonation, and never with its own rights. So a workflow
//     reveals nothing that its account may not read.
//   - Intent before effect. A step's attempt, what it found and what it will do are saved before it acts. A pass that finds an open attempt resumes the saved
//     intent (action.Apply is idempotent) and does not plan again. A retry keeps the intent of the previous attempt, unless that attempt certainly changed nothing.
//   - A workflow completes only if the changes of its steps are still there when it ends. A repair by somebody else does not count.
//   - A step has `previous` exactly while a rollback may have something to restore.
//   - Every change of phase, every attempt that ended and every rollback that ended is one audit entry, in the same write.
//
// # How it fails
//
// An attempt fails when the API server refuses it, the account is missing, the target is gone, or it times out. An attempt does not fail because the API server is
// away: the pass is repeated until the timeout. An attempt without progress fails earlier, after the progress deadline of its target. A step that is wrong (ErrParameter) or whose target is gone is not retried. A condition
// that costs too much (condition.ErrCost) is not evaluated again: it fails its stage, or its Wait, for good. A cancellation
// ends a wait or a backoff at once, never interrupts a change, and rolls nothing back. A rollback that cannot restore a step, because somebody else has changed the target since,
// says so, continues with the older steps, and leaves the outcome partial.
package workflowexecution
