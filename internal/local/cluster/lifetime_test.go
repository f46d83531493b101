//go:build unix

package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// gone reports whether no process has the id. One that has ended and waits for its parent, which may be a lazy init, is gone.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err != nil || strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

// processesOf lists the processes with the text in their command line.
func processesOf(t *testing.T, text string) []string {
	t.Helper()
	out, err := exec.Command("ps", "-eo", "pid=,args=").Output()
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var found []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

func TestKilledParentTakesItsServersAlong(t *testing.T) {
	g := NewWithT(t)
	// A run that is killed cannot remove its temporary folders; here they are at least in one place that goes.
	//nolint:usetesting // PostgreSQL's user has to reach it, and t.TempDir is closed to others
	folder, err := os.MkdirTemp("", "holdfast-killed-")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(os.Chmod(folder, 0o755)).To(Succeed())
	t.Cleanup(func() { _ = os.RemoveAll(folder) })

	helper := exec.Command(os.Args[0])
	helper.Env = append(os.Environ(), helperVariable+"=1", "TMPDIR="+folder)
	helper.Stderr = os.Stderr
	out, err := helper.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(helper.Start()).To(Succeed())
	t.Cleanup(func() { _ = helper.Process.Kill() })
	var report helperReport
	g.Expect(json.NewDecoder(out).Decode(&report)).To(Succeed())

	pids := report.Pids
	for _, pid := range strings.Fields(ask(t.Context(), t, report.URL, "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity")) {
		backend, err := strconv.Atoi(pid)
		g.Expect(err).NotTo(HaveOccurred())
		pids = append(pids, backend)
	}
	g.Expect(len(pids)).To(BeNumerically(">", 6))
	g.Expect(helper.Process.Kill()).To(Succeed())
	_ = helper.Wait()
	for _, pid := range pids {
		g.Eventually(gone).WithArguments(pid).WithTimeout(eventually).Should(BeTrue(), "process %d", pid)
	}
	g.Eventually(processesOf).WithArguments(t, folder).WithTimeout(eventually).Should(BeEmpty())
}

func TestStartThatIsGivenUpLeavesNothing(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	_, err := Binaries(t.Context(), t.Output(), "etcd", "kube-apiserver")
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(t.Context())
	go func() { // as soon as the API server is under way
		defer cancel()
		poll := time.NewTicker(time.Millisecond)
		defer poll.Stop()
		for range poll.C {
			if _, err := os.Stat(dir + "/logs/kube-apiserver.log"); err == nil || ctx.Err() != nil {
				return
			}
		}
	}()
	_, err = Start(ctx, Options{Dir: dir})
	g.Expect(err).To(MatchError(context.Canceled))
	g.Expect(err).To(MatchError(ContainSubstring("kube-apiserver")))
	g.Expect(processesOf(t, dir)).To(BeEmpty())
}

func TestServerThatDiesShowsItsLog(t *testing.T) {
	g := NewWithT(t)
	script := command{
		name: "broken", path: "/bin/sh", args: []string{"-c", "echo the reason >&2; exit 3"},
		log: t.TempDir() + "/broken.log", deathSignal: syscall.SIGKILL,
	}
	p, err := script.start()
	g.Expect(err).NotTo(HaveOccurred())
	err = p.waitReady(t.Context(), eventually, func(context.Context) error { return errors.New("no answer") })
	g.Expect(err).To(MatchError(And(ContainSubstring("broken ended"), ContainSubstring("exit status 3"), ContainSubstring("the reason"))))

	script.args = []string{"-c", "echo listen: address already in use; exit 1"}
	p, err = script.start()
	g.Expect(err).NotTo(HaveOccurred())
	err = p.waitReady(t.Context(), eventually, func(context.Context) error { return errors.New("no answer") })
	g.Expect(err).To(MatchError(errPortTaken))
}

func TestClustersRunSideBySide(t *testing.T) {
	g := NewWithT(t)
	const n = 2
	clusters := make([]*Cluster, n)
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { clusters[i], errs[i] = Start(t.Context(), Options{}) })
	}
	all.Wait()
	hosts := map[string]bool{}
	for i, c := range clusters {
		g.Expect(errs[i]).NotTo(HaveOccurred())
		hosts[c.RESTConfig().Host] = true
	}
	g.Expect(hosts).To(HaveLen(n))
	for _, c := range clusters {
		g.Expect(c.Stop()).To(Succeed())
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	first, err := openStateDir(dir, "", "cluster")
	g.Expect(err).NotTo(HaveOccurred())
	_, err = openStateDir(dir, "", "cluster")
	g.Expect(err).To(MatchError(And(ContainSubstring(dir), ContainSubstring(fmt.Sprintf("process %d", os.Getpid())))))
	g.Expect(os.WriteFile(dir+"/old", nil, 0o600)).To(Succeed())
	g.Expect(first.close()).To(Succeed())
	again, err := openStateDir(dir, "", "cluster", "old")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(dir + "/old").NotTo(BeAnExistingFile())
	g.Expect(again.close()).To(Succeed())
	g.Expect(dir).To(BeADirectory())
}

func TestFoldersOfKilledRunsAreRemoved(t *testing.T) {
	g := NewWithT(t)
	base := t.TempDir()
	old := time.Now().Add(-time.Hour)
	abandoned, err := openStateDir("", base, "cluster")
	g.Expect(err).NotTo(HaveOccurred())
	abandoned.lock.unlock() // as the kernel does
	alive, err := openStateDir("", base, "cluster")
	g.Expect(err).NotTo(HaveOccurred())
	for _, d := range []*stateDir{abandoned, alive} {
		g.Expect(os.Chtimes(d.in("cluster.lock"), old, old)).To(Succeed())
	}
	third, err := openStateDir("", base, "cluster")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(abandoned.path).NotTo(BeADirectory())
	g.Expect(alive.path).To(BeADirectory())
	g.Expect(errors.Join(alive.close(), third.close())).To(Succeed())
}

func TestPortsAreReservedOnce(t *testing.T) {
	g := NewWithT(t)
	seen := map[int]bool{}
	for range 20 {
		got, err := ports.reserve(5)
		g.Expect(err).NotTo(HaveOccurred())
		for _, port := range got {
			g.Expect(seen[port]).To(BeFalse(), "port %d", port)
			g.Expect(canListen(port)).To(BeTrue(), "port %d", port)
			seen[port] = true
		}
	}
	for port := range seen {
		ports.release([]int{port})
	}
	g.Expect(ports.taken).To(BeEmpty())
}

func TestStagesAreComplete(t *testing.T) {
	g := NewWithT(t)
	path := t.TempDir() + "/stages.yaml"
	g.Expect(writeStages(path)).To(Succeed())
	text, err := os.ReadFile(path)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(text)).NotTo(ContainSubstring("template: '@"))
	g.Expect(bytes.Count(text, []byte("kind: Stage"))).To(Equal(9))
}
