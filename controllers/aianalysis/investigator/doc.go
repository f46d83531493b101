// Package investigator has what an investigation takes and gives: a Request, a Finding, and Check, which makes any finding safe to keep.
//
// # Model
//
// An investigator (packages rules and holmesgpt) is asked with a Request and answers with a Finding: a root cause, and either a workflow of the catalogue with its
// parameters or the reason why nothing is recommended. Confidences are whole percentages, 0 to 100.
//
// # Invariants
//
// An answer is hostile input, whoever gave it. After Check
//
//   - a recommendation names a workflow of the catalogue that can be run on the target's kind, and its parameters render. One that does not is kept as an alternative
//     that was rejected, with why, and nothing is recommended. Hold does the same to one that could have no effect on the live target;
//   - every text is valid UTF-8 without control characters other than line breaks and tabs (each becomes U+FFFD), and bounded, with a marker that has the length and the SHA-256 of
//     the original. The bounds are such that a finding, a person's justification and a failure's reason together fit into one audit entry of 64 KiB, whatever
//     characters they are made of;
//   - what was looked at has at most 20 items, of which each excerpt has at most 1 KiB.
//
// # How it fails
//
// A confidence outside of 0 to 100 is an error, not clamped: nobody can tell what 900 was meant to say, and clamping it would approve it. So is a finding without a root cause.
package investigator
