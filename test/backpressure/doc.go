// Package backpressure tries the return of a database to which thousands of resources have something to say: everything drains, over a bounded number of
// connections and in groups, not one transaction a resource. `make backpressure` does it with 5,000 resources and prints figures; the tests with fewer.
package backpressure
