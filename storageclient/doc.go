// Package storageclient is a client of the Data Storage API. It posts records, and it is a store that a relay can drain into.
//
//	c, err := storageclient.New("https://storage.example.com", storageclient.Options{TokenFile: "/var/run/secrets/holdfast/token"})
//	receipts, err := c.Post(ctx, storageclient.Notification{Notification: models.Notification{…}})
//	r, err := relay.Add(mgr, c.Store("east"), relay.Config{}, &v1.Backup{})
//
// # Model
//
// A call is one transaction of the service: all or nothing. It returns after COMMIT. Calls can be repeated: a record with an id is stored once, and an entry is
// stored once in any case. The client does not retry. The relay has its own backoff, and other callers choose theirs.
//
// # How it fails
//
// A response that is not a success is an *Error. It contains the message of the service, unless the message repeats part of the token. If the service asks to retry
// later, the error says when (relay.Retry). As a store, the client distinguishes temporary failures (the service or its database is away or overloaded) from those that
// need a person (a token without the right to relay, a wrong URL); the latter wrap relay.ErrSchema. A batch that is too large for the service is halved until it fits.
package storageclient
