//go:build unix

package plugin_test

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// screen is a program on a pseudo terminal.
type screen struct {
	cmd      *exec.Cmd
	terminal io.ReadWriteCloser
	mu       sync.Mutex
	seen     bytes.Buffer
	done     chan struct{}
}

func (f *fixture) onTerminal(args ...string) *screen {
	f.t.Helper()
	s := &screen{cmd: exec.CommandContext(ctx, filepath.Join(programs, "kubectl-holdfast"), append(args, "-n", f.namespace)...), done: make(chan struct{})}
	s.cmd.Env = append(surroundings(), "TERM=xterm")
	terminal, err := pty.StartWithSize(s.cmd, &pty.Winsize{Rows: 24, Cols: 60})
	f.Expect(err).NotTo(HaveOccurred())
	s.terminal = terminal
	s.follow()
	f.t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		terminal.Close()
		<-s.done
	})
	return s
}

// follow keeps what the program writes.
func (s *screen) follow() {
	go func() {
		defer close(s.done)
		_, _ = io.Copy(s, s.terminal) // ends with an error on Linux when the program ends
	}()
}

// Write keeps what the program has written.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.Write(p)
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

func (s *screen) types(text string) error {
	_, err := io.WriteString(s.terminal, text)
	return err
}

func (s *screen) ends() int {
	_ = s.cmd.Wait() // the code says it
	return s.cmd.ProcessState.ExitCode()
}

// A person sees the case first, and decides under the name that the cluster knows.
func TestDecides(t *testing.T) {
	f := setup(t)
	d := f.broken("cart")
	f.manager(stack.Postgres.URL())
	rr := testenv.MakeRemediation(f.namespace, d.Name).Obj()
	f.create(rr)
	e := f.is("rr/cart", "AwaitingApproval")
	_, name, _ := strings.Cut(e.Through, "/")
	f.approver("jane")

	f.Expect(f.in("approve", name, "--reason", "known", "--as=mallory", "--yes")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("forbidden"))))
	f.Expect(f.in("approve", name, "--reason", "known", "--as=jane")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("give --yes"))))

	no := f.onTerminal("approve", name, "--reason", "known bad release", "--as=jane")
	f.Eventually(no.text).Should(ContainSubstring("Type yes: "))
	for _, fact := range []string{"alert", "root cause", "evidence", "recommends  rollout-undo", "step        undo: RolloutUndo", "runs as     service account remediator", "deadline", "decision    Approved by jane: known bad release"} {
		f.Expect(no.text()).To(ContainSubstring("\n  " + fact))
	}
	f.Expect(no.types("no\n")).To(Succeed())
	f.Expect(no.ends()).To(Equal(1))
	aia := &v1alpha1.AIAnalysis{}
	f.Expect(api.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: name}, aia)).To(Succeed())
	f.Expect(aia.Spec.Decision).To(BeNil())

	interrupted := f.onTerminal("approve", name, "--reason", "known bad release", "--as=jane")
	f.Eventually(interrupted.text).Should(ContainSubstring("Type yes: "))
	f.Expect(interrupted.types("\x03")).To(Succeed())
	f.Expect(interrupted.ends()).To(Equal(130))

	rejects := f.onTerminal("reject", name, "--reason", "not during the sale", "--as=jane")
	f.Eventually(rejects.text).Should(ContainSubstring("Type yes: "))
	f.Expect(rejects.types("yes\n")).To(Succeed())
	f.Expect(rejects.ends()).To(Equal(0), rejects.text())
	f.Expect(api.Get(ctx, types.NamespacedName{Namespace: f.namespace, Name: name}, aia)).To(Succeed())
	f.Expect(aia.Spec.Decision).To(HaveValue(Equal(v1alpha1.Decision{Verdict: "Rejected", DecidedBy: "jane", Method: "console", Justification: "not during the sale"})))
	f.Expect(f.in("approve", name, "--reason", "again", "--as=jane", "--yes")).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring("takes no decision"))))
	f.Expect(f.in("wait", "rr/cart", "--for=Rejected", "--timeout=2m").Code).To(BeZero())
	f.Expect(f.in("cancel", "cart", "--yes")).To(And(HaveField("Code", 1), HaveField("Stderr", ContainSubstring("has ended already"))))
}

func TestCancels(t *testing.T) {
	f := setup(t)
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)
	s := f.in("cancel", "rr/cart", "--yes", "-o", "json")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	f.golden("cancel.json", s.Stdout)
	f.read(rr)
	f.Expect(rr.Spec.Cancel).To(BeTrue())
	f.Expect(f.in("cancel", "cart")).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("was cancelled before"))))
}

// A watch draws a terminal again, and writes lines elsewhere. Ctrl-C ends both.
func TestWatches(t *testing.T) {
	f := setup(t)
	b := f.backup("settings")
	drawn := f.onTerminal("list", "backups", "--watch", "--interval=100ms")
	f.Eventually(drawn.text).Should(And(ContainSubstring("\x1b[H\x1b[2J"), ContainSubstring("none")))

	lines := exec.CommandContext(ctx, filepath.Join(programs, "kubectl-holdfast"), "list", "backups", "-w", "--interval=100ms", "-n", f.namespace)
	lines.Env = surroundings()
	written := &screen{}
	lines.Stdout = written
	f.Expect(lines.Start()).To(Succeed())
	f.Eventually(written.text).Should(ContainSubstring("state=none"))

	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: "Running"})
	f.Eventually(drawn.text).Should(MatchRegexp(`backup/settings +- +pending +1\b`)) // the terminal has 60 columns
	f.Eventually(written.text).Should(ContainSubstring("state=pending pending=1"))
	f.Expect(written.text()).NotTo(ContainSubstring("\x1b"))
	f.Expect(strings.Count(written.text(), "\n")).To(Equal(2), "a line a change")
	f.Expect(api.Patch(ctx, b, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`)))).To(Succeed())

	f.Expect(drawn.types("\x03")).To(Succeed())
	f.Expect(drawn.ends()).To(Equal(130))
	f.Expect(lines.Process.Signal(syscall.SIGINT)).To(Succeed())
	f.Expect(lines.Wait()).NotTo(Succeed())
	f.Expect(lines.ProcessState.ExitCode()).To(Equal(130))
	f.Expect(strings.Count(written.text(), "\n")).To(Equal(2))
}

// A watch fits a terminal of 60 columns and 24 lines, whatever it shows.
func TestWatchesOnASmallTerminal(t *testing.T) {
	f := setup(t)
	for i := range 30 {
		f.backup(fmt.Sprintf("settings-with-a-long-name-%02d", i))
	}
	for _, args := range [][]string{{"list", "-o", "wide"}, {"status"}, {"approvals"}} {
		s := f.onTerminal(append(args, "--watch", "--interval=100ms")...)
		f.Eventually(s.text).Should(ContainSubstring("\x1b[H\x1b[2J"))
		f.Eventually(func() int { return strings.Count(s.text(), "\x1b[H\x1b[2J") }).Should(BeNumerically(">", 1))
		f.Expect(s.types("\x03")).To(Succeed())
		f.Expect(s.ends()).To(Equal(130), "%q", args)
		picture := strings.Split(s.text(), "\x1b[H\x1b[2J")[1]
		lines := strings.Split(strings.TrimRight(strings.ReplaceAll(picture, "\r", ""), "\n"), "\n")
		f.Expect(len(lines)).To(BeNumerically("<", 24), picture)
		for _, l := range lines {
			f.Expect(utf8.RuneCountInString(painted.ReplaceAllString(l, ""))).To(BeNumerically("<=", 60), l)
		}
		if args[0] == "list" {
			f.Expect(lines[len(lines)-1]).To(MatchRegexp(`^… \d+ lines below$`))
			f.Expect(painted.ReplaceAllString(lines[2], "")).To(HavePrefix("NAMESPACE"))
			f.Expect(lines[3]).To(MatchRegexp(`^plugi\S+ +backup/\S+-00 +- +none +0\b`), "the rest stays readable")
		}
	}
}

var painted = regexp.MustCompile("\x1b\\[[0-9;]*m")
