// Package catalogue has the workflows that an analysis may recommend and the orchestrator may run: six of them, in workflows.yaml, embedded.
//
// # Model
//
// A Workflow is a plan with holes: steps, pre- and post-conditions, and declared parameters. Render fills the holes and gives a Plan, which is what
// the spec of a WorkflowExecution takes.
//
// # Invariants
//
//   - A hole is the whole value of a step's parameter ("${replicas}"), so that what an investigator says never becomes part of an expression
//     or of another text. Expressions have no holes.
//   - Every parameter has a type, and its value is checked against it: an answer of a language model goes through Render before anybody sees it
//     as a recommendation.
//   - Every workflow waits until the target has taken the change up, for as long as the target and the request permit, and has post-conditions that only hold when the target is whole again: a repair that
//     does not help is noticed, and rolled back.
//
// # How it fails
//
// Default fails only if the embedded file is wrong, which a test rules out. Render names every parameter that is missing, unknown or of the wrong form, in
// one error that wraps ErrParameters.
package catalogue
