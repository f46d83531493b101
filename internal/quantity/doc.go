// Package quantity parses Kubernetes quantities (512Mi, 500m, 1e3) from untrusted sources with bounded work.
//
// # Model
//
// resource.Quantity computes exactly, in decimal. A comparison or a sum brings both values to one scale by multiplying with a power of ten. So 1e100000000, which has
// eleven characters, becomes an integer of 40 MB. Parsing 1e-100000000 does the same to round it up to a billionth. Zero with a large exponent loops up to that
// exponent. An exponent beyond 32 bits silently becomes another one. So the work depends on the exponent, not on the length of the text.
//
// Memory and CPU have narrower bounds: what one container can have. Kubernetes itself accepts half a byte (512m), and more than all nodes have (7Ei).
//
// # Invariants
//
//   - A quantity goes through Parse, or has passed Check, CheckText or CheckIn, before it is compared, added or printed.
//   - An accepted quantity, and a sum of up to a million of them, has at most 512 bits.
//
// # How it fails
//
// An error contains the value, truncated to a bounded length, and what was expected. Parse and Check accept negative quantities, and quantities that make no sense
// for a given field.
package quantity
