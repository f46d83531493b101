// Package storageclient calls the Data Storage API: it posts records, and it is a store that a relay can drain into.
//
//	c, err := storageclient.New("https://storage.example.com", storageclient.Options{TokenFile: "/var/run/secrets/holdfast/token"})
//	receipts, err := c.Post(ctx, storageclient.Notification{Notification: models.Notification{…}})
//	r, err := relay.Add(mgr, c.Store("east"), relay.Config{}, &v1.Backup{})
//
// # Model
//
// A call is one transaction of the service, all or nothing, and returns after COMMIT. Calls may be repeated: posts with ids of their own are rows once, and entries
// are rows once in any case. The client repeats nothing by itself: the relay has a backoff of its own, and whoever posts knows best.
//
// # How it fails
//
// An answer that is not a success is an *Error, with all that the service said, unless it repeats a part of the token. One that asks to come back later says when (relay.Retry). As a store it tells apart
// what passes (a service, or its database, that is away or has too much to do) from what needs a person (a token that may not relay, an address where nothing
// of the kind is), which wraps relay.ErrSchema. A batch that is too large for the service is halved until it fits.
package storageclient
