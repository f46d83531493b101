package reportsapi

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// connected counts the connections that a server has.
type connected struct{ n atomic.Int64 }

func (c *connected) state(_ net.Conn, s http.ConnState) {
	switch s {
	case http.StateNew:
		c.n.Add(1)
	case http.StateClosed, http.StateHijacked:
		c.n.Add(-1)
	}
}

// whole reports whether an answer is what a status of 200 promises: a report, a page, or a stream with its last line.
func whole(kind, body string) bool {
	switch kind {
	case "text/html":
		return strings.HasSuffix(strings.TrimSpace(body), "</html>")
	case ndjson:
		lines := strings.Split(strings.TrimSpace(body), "\n")
		return strings.HasPrefix(lines[len(lines)-1], `{"end":`)
	}
	return strings.HasSuffix(strings.TrimSpace(body), "}")
}

// sip reads as slowly as a test can without a clock: a byte at a time, and lets others run in between.
func sip(r io.Reader) (string, error) {
	var all strings.Builder
	for b := bufio.NewReaderSize(r, 16); ; runtime.Gosched() {
		c, err := b.ReadByte()
		if err == io.EOF {
			return all.String(), nil
		}
		if err != nil {
			return all.String(), err
		}
		all.WriteByte(c)
	}
}

// Many times as many requests as may be under way at once, reports, pages, streams with slow readers, and batches: each is answered whole or refused with when to come again, no goroutine,
// connection, session or place stays behind, and the memory in use is what it was.
func TestUnderOverloadEachIsAnsweredWholeOrRefused(t *testing.T) {
	g := NewWithT(t)
	open := &connected{}
	s := start(t, func(c *Config) {
		c.Limits.Requests, c.Limits.Streams, c.Limits.Reads, c.Limits.Wait = 16, 4, 2, 20*time.Millisecond
	})
	var ids []string
	for i := range 30 {
		ids = append(ids, fmt.Sprintf("%q", s.write(remediation{received: received.Add(-time.Duration(i) * time.Minute)})))
	}
	listening := httptestServer(t, s, open)
	batch := `{"remediation_ids": [` + strings.Join(ids, ",") + `]}`
	asks := []func(context.Context) *http.Request{
		func(ctx context.Context) *http.Request {
			return ask(ctx, listening+reports+"/"+strings.Trim(ids[0], `"`), "", "application/json")
		},
		func(ctx context.Context) *http.Request {
			return ask(ctx, listening+reports+"/"+strings.Trim(ids[0], `"`)+"?format=html", "", "text/html")
		},
		func(ctx context.Context) *http.Request {
			return ask(ctx, listening+reports+window+"&view=summary", "", "application/json")
		},
		func(ctx context.Context) *http.Request { return ask(ctx, listening+reports+window, "", ndjson) },
		func(ctx context.Context) *http.Request { return ask(ctx, listening+pathBatch, batch, ndjson) },
	}
	load := func(n int) (ok, refused, wrong int64) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConns: -1, DisableKeepAlives: true}}
		var served, shed, bad atomic.Int64
		var all sync.WaitGroup
		one := func(i int) {
			r := asks[i%len(asks)](t.Context())
			r.Header.Set("Authorization", "Bearer "+[]string{"all", "shop", "shop,bank"}[i%7%3])
			answer, err := client.Do(r)
			if err != nil {
				bad.Add(1)
				t.Log(err)
				return
			}
			defer answer.Body.Close()
			read := func(r io.Reader) (string, error) { b, err := io.ReadAll(r); return string(b), err }
			if i%3 == 0 {
				read = sip
			}
			body, err := read(answer.Body)
			switch {
			case err == nil && answer.StatusCode == http.StatusOK && whole(r.Header.Get("Accept"), body):
				served.Add(1)
			case err == nil && answer.StatusCode == http.StatusOK && strings.Contains(body, `{"error":`): // a stream that was refused a read half-way says so
				served.Add(1)
			case err == nil && (answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests) && answer.Header.Get("Retry-After") != "":
				shed.Add(1)
			default:
				bad.Add(1)
				t.Logf("%s: %d, %v: %.300s", r.URL, answer.StatusCode, err, body)
			}
		}
		for worker := range 96 {
			all.Add(1)
			go func() {
				defer all.Done()
				for i := worker; i < n; i += 96 {
					one(i)
				}
			}()
		}
		all.Wait()
		return served.Load(), shed.Load(), bad.Load()
	}
	inUse := func() (bytes uint64, goroutines int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	load(32) // what is made once is made
	g.Eventually(open.n.Load, patience).Should(BeZero())
	heap, goroutines := inUse()
	ok, refused, wrong := load(960)
	t.Logf("%d were answered, %d refused", ok, refused)
	g.Expect(wrong).To(BeZero())
	g.Expect(ok + refused).To(BeEquivalentTo(960))
	g.Expect(ok).NotTo(BeZero())
	g.Expect(refused).NotTo(BeZero(), "96 at once are more than 16")
	g.Eventually(open.n.Load, patience).Should(BeZero(), "connections")
	g.Eventually(func() int { _, n := inUse(); return n }, patience).Should(BeNumerically("<=", goroutines+2))
	after, _ := inUse()
	g.Expect(after).To(BeNumerically("<", heap+16<<20), "bytes in use")
	l := s.server.config.Limits
	g.Expect(s.server.gates.requests.TryAcquire(int64(l.Requests))).To(BeTrue())
	g.Expect(s.server.gates.streams.TryAcquire(int64(l.Streams))).To(BeTrue())
	g.Expect(s.server.gates.reads.TryAcquire(int64(l.Reads))).To(BeTrue())
	g.Expect(s.store.DB().DB.Stats().InUse).To(BeZero(), "sessions")
}

func ask(ctx context.Context, url, body, accept string) *http.Request {
	method := http.MethodGet
	if body != "" {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Accept", accept)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	return r
}
