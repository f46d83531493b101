// Package guard says whether an admission policy is in force that a controller relies on.
//
// # Model
//
// Some fields of a spec say who did something: decidedBy, requestedBy, cancelledBy. Nothing in the resource proves it. A ValidatingAdmissionPolicy compares such a field with the
// caller as it is written. So a controller counts the field only while that policy and its binding, both of one name, are there and deny.
//
// # Invariants
//
// The two are read live, since somebody may have deleted them since the last check. The check finds what somebody may switch off by accident: what the two apply to, what a failure means,
// whether they deny, and whether the expressions mention what they must. It does not prove that the expressions are right: whoever may change the policy may also make it worthless.
//
// # How it fails
//
// A policy that is not there, or that may not be read, is a problem in words. Everything else that the API server does not answer is an error: look again.
package guard
