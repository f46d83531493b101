// Package condition evaluates the CEL expressions of a workflow (pre- and post-conditions, what a Wait waits for) over the live target.
//
// # Model
//
// An expression has one variable, `target`: the whole resource as the API server returns it. In addition to CEL's standard library there are string
// functions, optional types (`target.?status.?phase`), Kubernetes quantities (`quantity("1Gi")`) and comparisons of numbers across types.
//
// # Fields that are not there
//
// The API server omits counters that are zero, so `target.status.availableReplicas >= target.spec.replicas` finds no key just when it
// matters. So an expression is evaluated at most twice: first with the target as it is and, if a key was missing, again with the well-known counters of Deployment,
// StatefulSet, DaemonSet and ReplicaSet set to zero. `!has(target.status.unavailableReplicas)` and `target.status.unavailableReplicas == 0`
// then both work. A key that is still missing makes the condition false, with a message that names it.
//
// # Cost limits
//
// Anyone who may create a workflow writes expressions, and 200 characters can need gigabytes or hours. So:
//
//   - Compile refuses expressions that are costly to compile (maxCharacters, maxConstructors, computed keys of maps), constants that cannot be parsed (regular
//     expressions, quantities), and expressions whose cost by Kubernetes' estimate exceeds maxEstimate, with assumed sizes for the parts of the target.
//   - A Look has a budget of work and of memory (maxWork, maxMemory) for all conditions that are evaluated in it. The price of a call depends on its arguments and is charged
//     before the call; so is the price of a list, a map and a loop iteration. So no text, list or tree is created that exceeds the budget, and no call takes long
//     internally. A text has at most maxText bytes, a list maxItems items.
//   - Every value that an expression creates is charged by its size as a tree. A value that is contained twice is charged twice, because comparing and printing walk it twice.
//   - An evaluation checks at each step whether its context has ended. Its caller returns immediately in any case. At most maxTogether evaluations run in a
//     process, including those that nobody waits for. While such an evaluation of a condition runs, no other one of that condition starts.
//
// A new function in the environment needs a price (prices); a test reports functions without one.
//
// # How it fails
//
// Compile fails on an expression that is wrong, not boolean or too costly. An expression that cannot be evaluated (no such key, a wrong type) does not hold; that is not an
// error. ErrCost is an error: the evaluation exceeded its budget. It would do so again, so the failure is permanent. ErrEnded is temporary; a retry may
// succeed.
package condition
