// Package redact takes credentials out of texts that come from outside (a model's answer, an event of Kubernetes, a receiver's error) before they are kept.
//
// An audit entry can't be changed once it was hashed, and its row can't be deleted: a token that got into one stays for ever. So what has the shape of a credential
// is replaced before the entry is made, by a mark that says what stood there: [redacted: github-token].
//
// It knows shapes, not secrets: tokens with a prefix of their own, private keys in PEM, passwords in URLs, and values that are named password, secret or token. A
// password in the middle of a sentence passes. It is the last line; the first is not to write credentials into logs and events.
//
// Text is pure and idempotent, leaves valid UTF-8 valid, and takes time linear in the text's length, since it uses Go's regular expressions.
package redact
