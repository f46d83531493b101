// Package condition evaluates the CEL expressions of a workflow (pre- and post-conditions, what a Wait waits for) over the live target.
//
// # Model
//
// An expression sees one variable, `target`: the whole resource as the API server gives it. Beside CEL's standard library there are the string
// functions, optional types (`target.?status.?phase`), Kubernetes quantities (`quantity("1Gi")`) and comparisons of numbers across types.
//
// # Fields that are not there
//
// The API server omits counters that are zero, so `target.status.availableReplicas >= target.spec.replicas` meets a missing key just when it
// matters. An expression is therefore evaluated twice at most: as the target is and, if a key was missing, once more with the well-known counters of Deployment,
// StatefulSet, DaemonSet and ReplicaSet standing at zero. `!has(target.status.unavailableReplicas)` and `target.status.unavailableReplicas == 0`
// then both do what they say. A key that is missing after that makes the condition false, with a message that names it.
//
// # What it may cost
//
// Whoever may create a workflow writes expressions, and 200 characters can ask for gigabytes or for hours. So:
//
//   - Compile refuses what is costly to compile (maxCharacters, maxConstructors, computed keys of maps), what cannot be parsed when it is used (regular
//     expressions, quantities), and what Kubernetes' estimate finds too costly (maxEstimate), with assumed sizes for what hangs off the target.
//   - A Look has a budget of work and of memory (maxWork, maxMemory) for all conditions that are evaluated in it. A call is paid for before it is made, by its
//     arguments; a list, a map and a round of a loop too. So a text, a list or a tree is never made that the budget cannot pay for, and nothing that a call does on
//     the inside takes long. A text has at most maxText bytes, a list maxItems items.
//   - Every value that an expression makes is charged at what it is as a tree. What holds a value twice is charged twice, since comparing and printing walk it twice.
//   - An evaluation asks at each step whether its context has ended. Whoever asks leaves at once in any case. At most maxTogether evaluations are under way in a
//     process, those that nobody waits for included, and of one condition no other is started meanwhile.
//
// A function that is added to the environment needs a price (prices); a test says which has none.
//
// # How it fails
//
// Compile fails on an expression that is wrong, not boolean or too costly. What cannot be evaluated (no such key, a wrong type) does not hold, and is no
// error. ErrCost is one: an evaluation was ended because it took more than it may. It would again, so it is a permanent failure of whatever asked. ErrEnded is for
// the moment only.
package condition
