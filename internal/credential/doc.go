// Package credential reads what is a credential or holds one: tokens, files with a token, and URLs, whose user, password, path and query may be credentials.
//
// # Model
//
// Text is trimmed first: `echo`, editors and Secrets made of files leave a newline or a blank around it. What is left is one line. A URL that can be read in two
// ways is refused: in postgres://me:a@b@host/ one reader takes the password for a@b, another takes b@host for the host, and asks DNS for it.
//
// # Invariants
//
//   - No error has any part of what was read. It says what is wrong and what to write instead; the caller adds which setting it is.
//   - Nothing here connects or resolves.
//   - Text that comes from elsewhere (a server's answer, an error of the HTTP client, which quotes the URL) is repeated only if it shares nothing with the
//     credential: Repeats, Cause.
package credential
