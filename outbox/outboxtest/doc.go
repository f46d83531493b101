// Package outboxtest has what tests of controllers that embed an outbox need: a Store to drain into, which a test can hold and make fail, a Relay that acknowledges on demand, for tests
// of a controller alone, and checks of the entries in a resource.
//
// A test with the whole path runs a manager with relay.Add(mgr, store, …), where store is an outboxtest.Store in place of PostgreSQL. A test of a controller alone gives
// outboxtest.Relay to outbox.NewWriter: nothing is durable until the test says so.
package outboxtest
