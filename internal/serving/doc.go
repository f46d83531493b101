// Package serving is the part that Holdfast's services have in common: the addresses on which plain HTTP is allowed, the TLS certificate, and the authentication
// and authorization of callers.
//
// Callers have Kubernetes bearer tokens. A Reviewer asks the API server to authenticate a token (TokenReview) and to authorize its user (SubjectAccessReview), and
// caches the result. Invariants:
//
//   - The API server decides. Without its answer no caller is admitted. A result is valid until it expires, so a revoked right or token may work for
//     Options.AllowedFor longer, but never beyond the expiry of the token.
//   - Tokens are not stored, not logged, and not part of errors. Results are found by a keyed hash; the key is private to the process.
//   - Memory and the load on the API server are bounded, whatever callers send: two caches of fixed size (results of invalid tokens cannot evict others), one
//     review per token at a time, and a limit of concurrent reviews. Of these, three quarters at most are about the rights of one tenant. Rights are cached by user, since a user makes any number of tokens.
//
// Its errors are ErrUnauthenticated, ErrForbidden and ErrUnavailable: 401, 403 and 503. The first two are cached, the last is not.
//
// It does not use the metrics filter of controller-runtime, which answers 500 to an invalid token and caches any number of them.
package serving
