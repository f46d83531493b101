// Package notification delivers the message of a NotificationRequest to each channel that the request names.
//
// # Model
//
// Channels are independent of each other: each has its attempts, its backoff and its end. Reconcile never waits for a receiver. It saves the attempts that are due
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
//     client, which quote it, are replaced by words of our own (see describe).
//   - What a receiver answers is hostile: bounded, drained, never followed elsewhere, and not repeated but for a short error code.
//
// # How it fails
//
// Delivery is at-least-once. An outcome that could not be saved (a conflict, an API server that is away) stays in the pool's memory and is
// saved later. A process that dies loses it. The next process finds the attempt in Sending and waits until the attempt's timeout has passed, because another manager
// may still be making it. Then it calls the attempt Unknown and makes the next one. Receivers recognize a repetition by the
// Idempotency-Key, which is fixed for a resource and a channel.
//
// # Where requests go
//
// Whoever may create Secrets and NotificationRequests in a namespace makes the manager send POST requests, with a body of a fixed form, to a URL of their choice,
// and learns the status code. The manager therefore refuses special-purpose addresses (address.go: cloud metadata, multicast, 0.0.0.0, …) when it
// dials, after the name was resolved, and loopback too with WithoutLoopback, which a manager in a cluster should be given. It doesn't refuse the cluster's
// own services, which are proper receivers: restrict the manager's egress with a NetworkPolicy where they aren't. Proxies are taken from the
// environment of the manager; what lies behind one is the proxy's to refuse.
package notification
