//go:build failpoint

package failpoint

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
)

// point is one pass of one side of a boundary.
type point struct {
	name string
	nth  int
	side string // before or after
}

var (
	mu     sync.Mutex
	passed = map[point]int{} // by name and side; nth is zero
	kill   = killFrom(os.Getenv("HOLDFAST_FAILPOINT"))
	calls  = callsFrom(os.Getenv("HOLDFAST_FAILPOINT_CALL"))
	log    = logTo(os.Getenv("HOLDFAST_FAILPOINT_LOG"))
)

// Before is called when what the name says is about to happen.
func Before(name string) { pass(name, "before") }

// After is called when it has happened, or has failed, and nobody knows of it yet.
func After(name string) { pass(name, "after") }

func pass(name, side string) {
	here := count(name, side)
	if here == kill {
		die()
	}
	if url, ok := calls[here]; ok {
		answer, err := http.Post(url, "text/plain", strings.NewReader(name)) //nolint:gosec,noctx // the URL is the test's own, and the test ends with the process
		if err != nil {
			panic(fmt.Sprintf("failpoint %s: %v", name, err))
		}
		_ = answer.Body.Close()
	}
}

func count(name, side string) point {
	mu.Lock()
	defer mu.Unlock()
	key := point{name: name, side: side}
	passed[key]++
	if log != nil && side == "before" {
		fmt.Fprintln(log, name)
	}
	return point{name: name, nth: passed[key], side: side}
}

// die does what the kernel or a node's end does: nothing is flushed, no connection is closed in order.
func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {} // the signal is on its way
}

func killFrom(text string) point {
	if text == "" {
		return point{}
	}
	return parse(text)
}

func callsFrom(text string) map[point]string {
	all := map[point]string{}
	for each := range strings.SplitSeq(text, ", ") {
		if at, url, ok := strings.Cut(each, "="); ok {
			all[parse(at)] = url
		}
	}
	return all
}

func parse(text string) point {
	parts := strings.Split(text, ":")
	if len(parts) == 3 && (parts[2] == "before" || parts[2] == "after") {
		if nth, err := strconv.Atoi(parts[1]); err == nil && nth > 0 {
			return point{name: parts[0], nth: nth, side: parts[2]}
		}
	}
	panic(fmt.Sprintf("failpoint is %q, expected name:nth:before or name:nth:after", text))
}

func logTo(path string) *os.File {
	if path == "" {
		return nil
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	return f
}
