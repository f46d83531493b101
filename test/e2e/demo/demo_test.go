//go:build unix

package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	"github.com/onsi/gomega/gexec"

	"github.com/holdfast-dev/holdfast/internal/local/demo"
)

// How long things may take until a test fails. The first start on a machine may have to compile the servers.
const (
	wholeTimeout = 15 * time.Minute
	goneTimeout  = 30 * time.Second
)

var program string

func TestMain(m *testing.M) {
	var err error
	if program, err = gexec.Build("github.com/holdfast-dev/holdfast/cmd/holdfast"); err == nil {
		var plugin string
		plugin, err = gexec.Build("github.com/holdfast-dev/holdfast/cmd/kubectl-holdfast")
		err = errors.Join(err, os.Symlink(plugin, filepath.Join(filepath.Dir(program), "kubectl-holdfast"))) // as make build puts it
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	code := m.Run()
	gexec.CleanupBuildArtifacts()
	os.Exit(code)
}

// start runs the demo with the temporary folder and with variables that it must not heed. A test that fails half-way takes it along.
func start(t *testing.T, temporary string, args ...string) *gexec.Session {
	t.Helper()
	g := NewWithT(t)
	cmd := exec.Command(program, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary, "KUBECONFIG=/nonexistent/kubeconfig", "HOLDFAST_DATABASE_URL=postgres://127.0.0.1:1/none", "HOLDFAST_STATE_DIR=/nonexistent/state",
		"PGSERVICE=none", "PGOPTIONS=-c search_path=nowhere")
	session, err := gexec.Start(cmd, t.Output(), t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() {
		session.Kill()
		<-session.Exited
	})
	return session
}

// descendants are the processes below one, at this moment.
func descendants(t *testing.T, ancestor int) []int {
	t.Helper()
	g := NewWithT(t)
	out, err := exec.Command("ps", "-eo", "pid=,ppid=").Output()
	g.Expect(err).NotTo(HaveOccurred())
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, parent int
		_, err := fmt.Sscan(line, &pid, &parent)
		g.Expect(err).NotTo(HaveOccurred())
		children[parent] = append(children[parent], pid)
	}
	var found []int
	for next := children[ancestor]; len(next) > 0; {
		found = append(found, next...)
		var below []int
		for _, pid := range next {
			below = append(below, children[pid]...)
		}
		next = below
	}
	return found
}

// alive are those of the processes that have not ended. One that waits for its parent, which may be a lazy init, has.
func alive(pids []int) func() []int {
	return func() []int {
		return slices.DeleteFunc(slices.Clone(pids), func(pid int) bool {
			if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return true
			}
			state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
			return err != nil || strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
		})
	}
}

func TestDemo(t *testing.T) {
	g := NewWithT(t)
	temporary := t.TempDir()
	session := start(t, temporary, "--output", "json")
	g.Eventually(session.Err, wholeTimeout).Should(gbytes.Say("11 Verdict"))
	servers := descendants(t, session.Command.Process.Pid)
	g.Eventually(session, goneTimeout).Should(gexec.Exit(0))

	var s demo.Summary
	g.Expect(json.Unmarshal(session.Out.Contents(), &s)).To(Succeed())
	g.Expect(s.Verdict.Clean()).To(BeTrue())
	g.Expect(s.Verdict.Kinds).To(HaveEach(HaveField("Appended", BeNumerically(">", 0))))
	g.Expect(s.Verdict.Total.Rows).To(Equal(s.Verdict.Total.Appended))
	var outcomes []string
	for _, r := range s.Remediations {
		outcomes = append(outcomes, r.Outcome)
	}
	g.Expect(outcomes).To(ConsistOf("remediated", "remediated", "rejected", "timed-out", "no-action"))

	g.Expect(s.Posted).To(HaveLen(4))
	g.Expect(s.Posted).To(HaveEach(And(HaveField("First", "201 stored"), HaveField("Second", "200 present"), HaveField("Rows", 1))))

	play := string(session.Err.Contents())
	g.Expect(play).To(MatchRegexp(`kind +first answer +second answer +rows found\n`))
	g.Expect(play).To(MatchRegexp(`\n +execution +201 stored +200 present +1\n`))
	g.Expect(play).To(MatchRegexp(`entries appended +rows found +dead letters +lost +doubled\n`))
	g.Expect(play).To(MatchRegexp(`\n +total +\d+ +%d +%d +0 +0 +0\n`, s.Verdict.Total.Appended, s.Verdict.Total.Appended))
	g.Expect(play).To(ContainSubstring("deletion waits"))
	g.Expect(play).To(MatchRegexp(`\$ kubectl holdfast tree checkout[\s\S]*aianalysis.holdfast.dev/checkout`))
	g.Expect(play).To(MatchRegexp(`\$ kubectl holdfast approve [\s\S]*root cause[\s\S]*approved by jane@example.com`))
	g.Expect(play).To(ContainSubstring("because the store has accepted none for"))
	g.Expect(play).To(MatchRegexp(`\$ kubectl holdfast history [\s\S]*The chain is whole: \d+ entries`))
	g.Expect(play).To(MatchRegexp(`The trail is whole.*4 posted rows`))
	g.Expect(play).To(ContainSubstring("step rolled back"))
	g.Expect(play).NotTo(ContainSubstring("\x1b"), "there is no terminal, so there are no colours")

	g.Expect(len(servers)).To(BeNumerically(">=", 8), "etcd, four Kubernetes servers, PostgreSQL, the manager and the storage service")
	g.Eventually(alive(servers), goneTimeout).Should(BeEmpty())
	g.Expect(filepath.Glob(filepath.Join(temporary, "holdfast-demo-*"))).To(BeEmpty())
}

func TestInterruptedDemoLeavesNothing(t *testing.T) {
	for _, c := range []struct{ name, at string }{
		{"while the servers start", "PostgreSQL: ready"},
		{"while the database is away", "PostgreSQL stopped"},
		{"after the manager was killed", "SIGKILL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			temporary := t.TempDir()
			session := start(t, temporary)
			g.Eventually(session.Out, wholeTimeout).Should(gbytes.Say(c.at))
			servers := descendants(t, session.Command.Process.Pid)
			session.Interrupt()
			g.Eventually(session, goneTimeout).Should(gexec.Exit(130))
			g.Expect(session.Err).To(gbytes.Say("interrupted"))
			g.Expect(servers).NotTo(BeEmpty())
			g.Eventually(alive(servers), goneTimeout).Should(BeEmpty())
			g.Expect(filepath.Glob(filepath.Join(temporary, "holdfast-demo-*"))).To(BeEmpty())
		})
	}
}

func TestServersOfAKilledDemoEndWithIt(t *testing.T) {
	g := NewWithT(t)
	session := start(t, t.TempDir())
	g.Eventually(session.Out, wholeTimeout).Should(gbytes.Say("Alerts fire"))
	servers := descendants(t, session.Command.Process.Pid)
	g.Expect(len(servers)).To(BeNumerically(">=", 8), "etcd, four Kubernetes servers, PostgreSQL, the manager and the storage service")
	session.Kill()
	g.Eventually(session, goneTimeout).Should(gexec.Exit())
	g.Eventually(alive(servers), goneTimeout).Should(BeEmpty())
}

func TestWrongUsage(t *testing.T) {
	g := NewWithT(t)
	session := start(t, t.TempDir(), "--output", "yaml")
	g.Eventually(session, goneTimeout).Should(gexec.Exit(1))
	g.Expect(session.Err).To(gbytes.Say(`--output is "yaml", expected json`))
}
