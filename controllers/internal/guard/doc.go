// Package guard checks whether an admission policy that a controller relies on is in force.
//
// # Model
//
// Some fields of a spec name who did something: decidedBy, requestedBy, cancelledBy. Nothing in the resource proves it. A ValidatingAdmissionPolicy compares such a field with the
// caller of the write. So a controller uses the field only while the policy and its binding, which have the same name, exist and deny.
//
// # Invariants
//
// Both are read live, because somebody may have deleted them since the last check. The check finds accidental changes: to the scope, the failure policy,
// the action, and the terms that the expressions must contain. It does not prove that the expressions are right: whoever may change the policy can also disable it.
//
// # How it fails
//
// A policy that does not exist, or may not be read, is returned as a problem in words. Any other failed read is an error; retry.
package guard
