package cluster

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// heartbeat is how often a long step says that it is still at work.
const heartbeat = 15 * time.Second

// progress writes one line a step. The zero writer is silent; lines from several goroutines do not mix.
type progress struct {
	mu sync.Mutex
	w  io.Writer
}

func newProgress(w io.Writer) *progress { return &progress{w: w} }

func (p *progress) say(format string, args ...any) {
	if p.w == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
}

// beat says, until the returned function is called, that the step is still at work.
func (p *progress) beat(step string) (done func()) {
	begin := time.Now()
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(heartbeat)
		defer ticker.Stop()
		for {
			select {
			case <-quit:
				return
			case <-ticker.C:
				p.say("%s: running for %s", step, time.Since(begin).Round(time.Second))
			}
		}
	}()
	return func() { close(quit); <-ended }
}
