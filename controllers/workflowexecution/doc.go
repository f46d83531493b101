// Package workflowexecution runs the steps of a WorkflowExecution on its target, checks that they helped, and rolls back what did not.
//
// # Model
//
// One pass of Reconcile does one thing (begins, continues or ends one step; looks at the conditions; undoes one step), saves what came of it with its audit entry,
// and leaves; the event of that write brings the next pass. What a step does is in package action, what a condition means in package condition.
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
//   - Everything that reads or changes the target is done as the service account that the spec names, by impersonation. The controller's own rights reach the
//     target in no case, so a workflow tells nobody what its account may not read.
//   - Intent before effect. A step's attempt, what it found and what it will do are saved before it acts; a pass that finds an attempt under way goes on
//     with what was saved (action.Apply is idempotent) and plans nothing anew. A retry keeps the intent of the attempt before, unless that attempt certainly changed nothing.
//   - A step has `previous` exactly as long as it may have left something that a rollback could restore.
//   - Every change of phase, every attempt that ended and every rollback that ended is one audit entry, in the same write.
//
// # How it fails
//
// An attempt fails when the API server refuses it, the account is missing, the target is gone, or its time is over. The API server being away is no
// failure of an attempt: the pass is repeated until the attempt's time is over. A step that is wrong (ErrParameter) or whose target is gone is not retried. A condition
// that costs too much (condition.ErrCost) is not looked at again: it fails its stage, or its Wait, for good. Cancelling
// ends a wait or a backoff at once, never interrupts a change, and rolls nothing back. A rollback that cannot restore a step (somebody else has changed the target since)
// says so, goes on with the older steps, and leaves the outcome partial.
package workflowexecution
