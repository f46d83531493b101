// Package outboxtest helps to test controllers that embed an outbox. It has a Store in memory that a test can pause and make fail, a Relay that acknowledges on demand, for tests
// of a controller alone, and checks of the entries in a resource.
//
// A test with the whole path runs a manager with relay.Add(mgr, store, …), where store is an outboxtest.Store in place of PostgreSQL. A test of a controller alone gives
// outboxtest.Relay to outbox.NewWriter: nothing is durable until the test says so.
package outboxtest
