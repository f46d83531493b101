// Package redact removes credentials from texts that come from outside (the answer of a model, a Kubernetes event, the error of a receiver) before they are stored.
//
// An audit entry cannot be changed after it is hashed, and its row cannot be deleted, so a token in it would stay forever. This package therefore replaces text with
// the shape of a credential by a mark that names the kind of credential: [redacted: github-token].
//
// It recognises shapes, not secrets: tokens with a known prefix, PEM private keys, passwords in URLs, and values named password, secret or token. It does not
// recognise a password in a sentence. It is the last line of defence; do not write credentials to logs and events.
//
// Text is pure and idempotent, and keeps valid UTF-8 valid. Its time is linear in the length of the text, because Go's regular expressions are.
package redact
