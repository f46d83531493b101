// Package investigator has the input and output of an investigation, Request and Finding, and Check, which makes any finding safe to store.
//
// # Model
//
// An investigator (packages rules and holmesgpt) takes a Request and returns a Finding: a root cause, and either a workflow of the catalogue with its
// parameters or the reason why no action is recommended. Confidences are whole percentages, 0 to 100.
//
// # Invariants
//
// An answer is always hostile input. After Check:
//
//   - a recommendation names a workflow of the catalogue that can be run on the target's kind, and its parameters render. Any other is kept as a rejected alternative
//     with the reason, and no action is recommended. Hold does the same for one that would have no effect on the live target;
//   - every text is valid UTF-8 without control characters other than line breaks and tabs (each becomes U+FFFD), and bounded, with a marker that has the length and the SHA-256 of
//     the original. The bounds are such that a finding, a person's justification and a failure's reason together fit into one audit entry of 64 KiB, whatever
//     characters they are made of;
//   - the evidence has at most 20 items, and each excerpt has at most 1 KiB.
//
// # How it fails
//
// A confidence outside of 0 to 100 is an error. It is not clamped: the meaning of 900 is unknown, and clamping would approve it. A finding without a root cause is an error too.
package investigator
