// Package serving is how Holdfast's services meet their callers: on which addresses plain HTTP is allowed, with which certificate TLS is
// served, and who a caller is and what they may do.
//
// Callers have Kubernetes bearer tokens. A Reviewer asks the API server whose a token is (TokenReview) and what that user may do
// (SubjectAccessReview), and remembers the answer for a while. What always holds:
//
//   - Nothing is decided here. Without the API server's answer nobody is let in; an answer counts until its time is over, so a right
//     that was revoked, or a token that was, may work for Options.AllowedFor longer. Never past the expiry that a token itself states.
//   - No token is kept, logged or part of an error. Answers are found by a keyed hash whose key is this process's own.
//   - Memory and the load on the API server are bounded whatever callers send: two caches of fixed size (invented tokens can't push out the
//     answers of real ones), one review a token at a time, and a limit of reviews at once.
//
// Its errors are ErrUnauthenticated, ErrForbidden and ErrUnavailable: 401, 403 and 503. The first two are remembered, the last is not.
//
// controller-runtime's own filter for metrics is not used because it answers 500 to a token that is not valid and remembers any number of them.
package serving
