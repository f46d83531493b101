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
// # How it fails
//
// Compile fails on an expression that is wrong or not boolean. Holds never fails: what cannot be evaluated (no such key, a wrong type, too expensive) does not hold.
package condition
