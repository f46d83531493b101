// Package aside runs functions in goroutines of their own for somebody who waits for them.
//
// A panic ends the process unless its own goroutine recovers it. Whoever serves a request recovers the request's goroutine only, so a row that makes a helper of the request panic would end the
// service for everybody. Here the panic is raised again in the goroutine that waits.
package aside

import (
	"fmt"
	"runtime/debug"
)

// Panic is what a function panicked with, and the stack of its goroutine.
type Panic struct {
	Cause any
	Stack []byte
}

// String has both, for a log.
func (p *Panic) String() string {
	return fmt.Sprintf("%v\n\nIt was raised in another goroutine:\n%s", p.Cause, p.Stack)
}

// Go runs fn. The caller must call wait, which returns when fn has, and panics with a *Panic if fn panicked.
func Go(fn func()) (wait func()) {
	done := make(chan struct{})
	var raised *Panic
	go func() {
		defer close(done)
		defer func() {
			if cause := recover(); cause != nil {
				raised = &Panic{cause, debug.Stack()}
			}
		}()
		fn()
	}()
	return func() {
		<-done
		if raised != nil {
			panic(raised)
		}
	}
}
