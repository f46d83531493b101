// Package action has what the steps of a workflow do to their target: RestartPods, RolloutRestart, RolloutUndo, Scale, SetResources, SetImage, Wait, WaitForRollout.
//
// # Model
//
// An action is used in two halves, with a write to the workflow's status in between. Plan reads the live target and decides, and changes nothing; its intent (what
// it found and what it will do) is saved; Apply then does what the intent says. Whoever finds a saved intent calls Apply again.
//
// # Invariants
//
//   - Apply is idempotent: of what the intent says it does only what is still missing. A pod is evicted only under the uid that the intent names.
//   - Apply changes the target only if it still is as Plan found it (its uid, and the value that is changed): what somebody else has decided in between is not
//     overwritten. The write is guarded by the resource version.
//   - Undo restores what Plan found, only if the target still is as Apply left it.
//   - Overwritten tells what somebody else has changed since Apply, from what the workflow's own later steps have changed.
//   - An action needs no more rights than get and patch on the target, list on its pods and revisions, get on its revisions, and create on pods/eviction.
//
// # How it fails
//
// ErrParameter: the step is wrong, a retry cannot help. ErrGone: the target is not there any more, or is another one of the same name. ErrNoEffect:
// certainly nothing was changed, and the intent is spent; a retry plans anew. ErrPerson: what is waited for does not come by itself. After any other error it is not known whether the
// change was made: keep the intent and Apply again.
package action
