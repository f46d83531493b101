// Package consumer is about another module that adds the libraries to its own requirements: which versions it gets.
//
// Its tests need a Go module proxy or a filled module cache, and no servers. With HOLDFAST_MATRIX=1 (make test-matrix) they compile the operator too.
package consumer
