// Package pattern compiles regular expressions from untrusted sources with bounded work.
//
// # Model
//
// RE2 is linear in the length of the text, but also in the size of the program. (?:…){1000} writes what it repeats 1,000 times: 512 bytes may be half a million instructions, and each byte of a
// text may be compared with each of them. So the size is estimated from the syntax tree, before anything is compiled.
//
// # How it fails
//
// An error contains the expression, truncated to a bounded length, and what was expected. Whoever matches bounds the text, and how many expressions there are: Instructions times bytes is the work.
package pattern
