// Package quantity parses Kubernetes quantities (512Mi, 500m, 1e3) that come from outside, with work that is bounded whatever the text says.
//
// # Model
//
// resource.Quantity computes exactly, in decimal. A comparison or a sum brings both sides to one scale, which multiplies by a power of ten:
// 1e100000000, eleven characters, becomes an integer of 40 MB. Parsing 1e-100000000 does the same to round it up to a billionth. Zero with a large exponent
// counts to that exponent in a loop. And an exponent beyond 32 bits is silently another one. So the work depends on the exponent, and not on the length.
//
// Memory and CPU are narrower: what one container can be given. Kubernetes itself takes half a byte (512m) and more than all nodes together have (7Ei).
//
// # Invariants
//
//   - Whatever is parsed goes through Parse, or has passed Check, CheckText or CheckIn, before it is compared, added or printed.
//   - A quantity that was accepted, and every sum of a million of them, has at most 512 bits.
//
// # How it fails
//
// An error names the value, cut to a bounded length, and what was expected. For Parse and Check, a negative quantity, or one that
// makes no sense where it stands, is no error.
package quantity
