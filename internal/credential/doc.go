// Package credential reads credentials and settings that contain one: tokens, files with a token, and URLs, whose user, password, path and query may be credentials.
//
// # Model
//
// Text is trimmed first, because `echo`, editors and Secrets from files leave a newline or a blank. The rest is one line. A URL that two parsers can read differently
// is refused: in postgres://me:a@b@host/ one parser reads the password a@b, and another reads the host b@host and sends it to DNS.
//
// # Invariants
//
//   - No error contains any part of the input. It says what is wrong and what to write instead; the caller adds the name of the setting.
//   - Nothing here connects or resolves names.
//   - Text from elsewhere (the response of a server, an error of the HTTP client, which quotes the URL) is repeated only if it shares nothing with the
//     credential: Repeats, Cause.
package credential
