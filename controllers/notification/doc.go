// Package notification delivers the message of a NotificationRequest to each channel that the request names.
//
// # Model
//
// Channels are independent of each other: each has its own attempts, backoff and end. Reconcile never waits for a receiver. It saves the attempts that are due
// (state Sending: the intent), dispatches them to a pool of goroutines (package pool), and returns. The pool starts the reconciler again when an attempt has ended.
// The outcome of every attempt is one audit entry, saved with the attempt's new state in one write. The outcome that leaves nothing to do ends the record in the same write.
//
//	SendingStarted / Sending → DeliveryFailed / Retrying → … → DeliverySucceeded / Sent (final)
//
// # Invariants
//
//   - Nothing is sent before the attempt is saved, and no attempt is sent twice under one number.
//   - At most three attempts of one resource run at once, since room for their entries is reserved before they begin.
//   - A URL is a credential. It is read from the Secret at each attempt and appears in no status, entry, Event, log line or error: errors of the HTTP
//     client quote the URL, so they are replaced (see describe).
//   - A receiver's response is hostile: it is bounded and drained, redirects are not followed, and only a short error code is repeated.
//
// # How it fails
//
// Delivery is at-least-once. An outcome that could not be saved (a conflict, an API server that is away) stays in the pool's memory and is
// saved later. A process that dies loses it. The next process finds the attempt in Sending and waits until the attempt's timeout has passed, because another manager
// may still be making it. Then it marks the attempt as Unknown and starts the next one. Receivers detect duplicates by the
// Idempotency-Key, which is the same for all attempts of a resource and a channel.
//
// # Where requests go
//
// Users who may create Secrets and NotificationRequests in a namespace can make the manager send POST requests, with a body of a fixed form, to a URL of their choice,
// and they see the status code. The manager therefore refuses special-purpose addresses (address.go: cloud metadata, multicast, 0.0.0.0, …) when it
// dials, after name resolution. With WithoutLoopback, which a manager in a cluster should use, it also refuses loopback. It allows the cluster's
// own services, which may be receivers. To exclude them, restrict the manager's egress with a NetworkPolicy. Proxies come from the
// environment of the manager; a proxy must refuse addresses behind it itself.
package notification
