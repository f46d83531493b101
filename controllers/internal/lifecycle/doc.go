// Package lifecycle has what the four reconcilers share around their phases: the Ready condition, Events, deadlines, and what a reconciler does with a
// phase that it does not know. What a phase does stays in the reconcilers.
package lifecycle
