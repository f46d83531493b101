//go:build linux

package storage

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// The load: bounded in number, and in time by the service's own deadlines.
const (
	largeSenders, largeEach = 48, 6
	slowSenders             = 160
	endlessSenders          = 32
	callerBurst             = 1200 // more than the storm
	burstSenders, burstEach = 32, 60

	bodyLimit = 4 << 20 // the default of --max-body-bytes
	path      = "/api/v1/audit/notifications"
	good      = `{"remediation_id":"overload","notification_requested_at":"2026-11-23T04:05:06Z"}`
)

// target is the service under load.
type target struct {
	address, token string
	mu             sync.Mutex
	answers        map[int]int // by status; 0: the connection ended without one
	wrong          []string
}

// head is a request up to its body.
func (s *target) head(more string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + s.token + "\r\nContent-Type: application/json\r\n" + more + "\r\n\r\n"
}

// send writes a request with a body that may have no end, and notes the answer, which may come before that.
func (s *target) send(head string, body io.Reader) int {
	conn, err := net.DialTimeout("tcp", s.address, testenv.Timeout)
	if err != nil {
		return s.note(nil, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(testenv.LongTimeout))
	go func() { _, _ = io.Copy(conn, io.MultiReader(strings.NewReader(head), body)) }() // ends with the connection
	return s.note(http.ReadResponse(bufio.NewReader(conn), nil))
}

func (s *target) note(answer *http.Response, err error) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.answers[0]++ // the kernel may drop an answer to whom still sends
		return 0
	}
	defer answer.Body.Close()
	s.answers[answer.StatusCode]++
	later := answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode == http.StatusServiceUnavailable
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); later && (err != nil || seconds < 1) {
		s.wrong = append(s.wrong, fmt.Sprintf("%s with Retry-After %q", answer.Status, answer.Header.Get("Retry-After")))
	}
	return answer.StatusCode
}

// post sends a whole body.
func (s *target) post(body []byte) int {
	return s.send(s.head("Connection: close\r\nContent-Length: "+strconv.Itoa(len(body))), bytes.NewReader(body))
}

// large are bodies of almost the limit that cost a lot to read. One of them is good.
func large() [][]byte {
	fill := func(begin, part, end string) []byte {
		return []byte(begin + strings.Repeat(part, (bodyLimit-len(begin)-len(end))/len(part)) + end)
	}
	begin := strings.TrimSuffix(good, "}")
	texts := "[" + strings.Repeat(begin+`,"subject":"`+strings.Repeat("x", bodyLimit/500-200)+`"},`, 499)
	return [][]byte{
		[]byte(texts + good + "]"),
		[]byte(texts + "{}]"),
		fill(begin+`,"channels":[`, `"",`, `7]}`),
		fill("{", `"a":0,`, `"a":0}`),
		fill("[", "[],", "[]]"),
		fill(begin+`,"delivery_attempts":[`, `{},`, `7]}`),
		fill(begin+`,"subject":"`, `\u00e4`, `","unknown":1}`),
	}
}

// endless is chunks without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	const chunk = "400\r\n"
	n := 0
	for n+len(chunk)+1024+2 <= len(p) {
		n += copy(p[n:], chunk)
		n += copy(p[n:], bytes.Repeat([]byte(" "), 1024))
		n += copy(p[n:], "\r\n")
	}
	return n, nil
}

// storm sends what means no good, first each sort by itself, so that the others do not keep it out, then all at once. It returns when everything was answered.
func (s *target) storm() {
	bodies := large()
	stalled, release := io.Pipe()
	defer release.Close()
	sorts := []func(*sync.WaitGroup){
		func(w *sync.WaitGroup) {
			together(w, largeSenders, func(i int) {
				for n := range largeEach {
					s.post(bodies[(i+n)%len(bodies)])
				}
			})
		},
		func(w *sync.WaitGroup) {
			together(w, slowSenders, func(int) { s.send(s.head("Content-Length: 1048576"), io.MultiReader(strings.NewReader(good), stalled)) })
		},
		func(w *sync.WaitGroup) {
			together(w, endlessSenders, func(int) { s.send(s.head("Transfer-Encoding: chunked"), endless{}) })
		},
	}
	var all sync.WaitGroup
	for _, sort := range sorts {
		sort(&all)
		all.Wait()
	}
	for _, sort := range sorts {
		sort(&all)
	}
	all.Wait()
}

// burst is one caller with more requests than it may send.
func (s *target) burst() {
	var all sync.WaitGroup
	together(&all, burstSenders, func(int) {
		for range burstEach {
			s.post([]byte(good))
		}
	})
	all.Wait()
}

// together does something n times at once.
func together(w *sync.WaitGroup, n int, do func(i int)) {
	for i := range n {
		w.Go(func() { do(i) })
	}
}

// peak is the most memory that the process had so far, in MiB.
func peak(t *testing.T, pid int) int {
	t.Helper()
	g := NewWithT(t)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	g.Expect(err).NotTo(HaveOccurred())
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kib), "kB")))
			g.Expect(err).NotTo(HaveOccurred())
			return n >> 10
		}
	}
	t.Fatal("no VmHWM in ", string(status))
	return 0
}

// What means no good is turned away, says when to come again, and does not bring the service down. The limits are the defaults, but for the caller's rate: the load
// comes from one account, and is to get past that. The memory is printed, and not asserted.
func TestOverload(t *testing.T) {
	g := NewWithT(t)
	g.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	stack := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	s := &target{address: l.Addr().String(), token: stack.StorageToken, answers: map[int]int{}}
	g.Expect(l.Close()).To(Succeed())
	service, err := localcluster.StartProgram(t.Context(), localcluster.Program{
		Name: "storage", Path: program, Log: filepath.Join(stack.Dir, "logs", "overload.log"), Env: stack.Env(),
		Args:  []string{"storage", "--insecure-http", "--bind-address", s.address, "--caller-requests-per-second=5", "--caller-burst=" + strconv.Itoa(callerBurst), "--log-level=error"},
		Ready: localcluster.Answers("http://" + s.address + "/readyz"),
	})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(service.Stop(testenv.Timeout)).To(Succeed()) })

	g.Expect(s.post([]byte(good))).To(Equal(http.StatusCreated))
	before := peak(t, service.PID())
	s.storm()
	storm := maps.Clone(s.answers)
	s.burst()
	g.Eventually(func() int { return s.send(s.head("Transfer-Encoding: chunked"), endless{}) }, testenv.LongTimeout, time.Second).Should(Equal(http.StatusRequestEntityTooLarge))
	g.Eventually(func() int { return s.post([]byte(good)) }, testenv.LongTimeout, time.Second).Should(Equal(http.StatusCreated), "it serves on")

	t.Logf("peak memory of the service: %d MiB, %d MiB before the load", peak(t, service.PID()), before)
	t.Logf("answers of the storm: %v; of all: %v (0: the connection ended without one)", storm, s.answers)
	g.Expect(s.wrong).To(BeEmpty())
	g.Expect(slices.Collect(maps.Keys(s.answers))).To(ContainElements(http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusRequestEntityTooLarge))
	g.Expect(s.answers).NotTo(HaveKey(http.StatusInternalServerError))
	g.Expect(service.Done()).NotTo(BeClosed())
}
