// Package catalogue contains the workflows that an analysis may recommend and the orchestrator may run: six of them, embedded from workflows.yaml.
//
// # Model
//
// A Workflow is a template: steps, pre- and post-conditions, and declared parameters. Render fills in the parameters and returns a Plan, which has the
// fields of a WorkflowExecution's spec.
//
// # Invariants
//
//   - A placeholder is the whole value of a step parameter ("${replicas}"), so the text of an investigator never becomes part of an expression or of
//     another text. Expressions have no placeholders.
//   - Every parameter has a type, and its value is checked against it. An answer of a language model passes Render before it becomes a recommendation.
//   - Every workflow waits until the target has applied the change, for as long as target and request allow. Its post-conditions are true only when the target is
//     healthy again, so a repair that does not help is detected and rolled back.
//
// # How it fails
//
// Default fails only if the embedded file is invalid, which a test rules out. Render returns one error, which wraps ErrParameters and lists every parameter that is
// missing, unknown or invalid.
package catalogue
