//go:build unix

package quickstart

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	ctrl "sigs.k8s.io/controller-runtime"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

const root = "../../.."

// limit bounds all of the page's commands, on a busy machine.
const limit = 5 * time.Minute

// The commands of the page, as they are written, in one shell: an alert of a real Prometheus comes through a real Alertmanager, a message has the command that approves, the workload heals, and the
// report says so. Ports are free ones.
func TestTheQuickstart(t *testing.T) {
	for _, tool := range []string{"bash", "python3", "prometheus", "prometheus-alertmanager"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TRIED: %s is not installed, and the quickstart needs it", tool)
		}
	}
	ctrl.SetLogger(logr.Discard())
	g := NewWithT(t)
	defer gexec.CleanupBuildArtifacts()
	programs := map[string]string{}
	for _, name := range []string{"holdfast", "kubectl-holdfast"} {
		var err error
		programs[name], err = gexec.Build("github.com/holdfast-dev/holdfast/cmd/" + name)
		g.Expect(err).NotTo(HaveOccurred())
	}
	binaries, err := localcluster.Binaries(t.Context(), t.Output(), "kubectl")
	g.Expect(err).NotTo(HaveOccurred())
	programs["kubectl"] = binaries["kubectl"]
	stack, err := dev.Start(t.Context(), dev.Options{Dir: t.TempDir(), Program: programs["holdfast"], Progress: t.Output()})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(stack.Stop()).To(Succeed()) })

	dir, ports := t.TempDir(), freePorts(g)
	g.Expect(os.Mkdir(filepath.Join(dir, "bin"), 0o755)).To(Succeed())
	for name, path := range programs {
		g.Expect(os.Symlink(path, filepath.Join(dir, "bin", name))).To(Succeed())
	}
	g.Expect(os.Symlink(stack.Dir, filepath.Join(dir, ".dev"))).To(Succeed())
	for _, folder := range []string{"config/samples", "docs/quickstart"} {
		g.Expect(copyFolder(filepath.Join(dir, folder), filepath.Join(root, folder), ports)).To(Succeed())
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "quickstart.md"))
	g.Expect(err).NotTo(HaveOccurred())
	var script strings.Builder
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		script.WriteString(block[1])
	}
	printed := run(t, dir, ports.Replace(script.String()))
	t.Log(printed)
	g.Expect(printed).To(And(
		ContainSubstring("notificationrequest.holdfast.dev/"), // tree
		MatchRegexp(`approved by .*-analysis in shop`),
		ContainSubstring("nginx:stable"),
		ContainSubstring("DeploymentUnavailable"), // the report
		ContainSubstring("known bad release"),
	))
}

// run runs a script in a process group of its own, which ends with it.
func run(t *testing.T, dir, script string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	c := exec.CommandContext(ctx, "bash", "-eu", "-o", "pipefail", "-c", script)
	c.Dir, c.WaitDelay = dir, 10*time.Second
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	end := func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.Cancel = end
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	_ = end() // what a script that failed left behind
	if err != nil {
		for _, log := range []string{"messages.txt", "alertmanager.log", "prometheus.log"} {
			text, _ := os.ReadFile(filepath.Join(dir, ".quickstart", log))
			t.Logf("%s:\n%s", log, text)
		}
	}
	NewWithT(t).Expect(err).NotTo(HaveOccurred(), out.String())
	return out.String()
}

// freePorts replaces the ports of the page.
func freePorts(g *WithT) *strings.Replacer {
	var pairs []string
	for _, port := range []string{"9090", "9093", "9105", "9106"} {
		address, err := localcluster.FreeAddress()
		g.Expect(err).NotTo(HaveOccurred())
		pairs = append(pairs, port, address[strings.LastIndex(address, ":")+1:])
	}
	return strings.NewReplacer(pairs...)
}

func copyFolder(to, from string, ports *strings.Replacer) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if e.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, []byte(ports.Replace(string(text))), 0o755)
	})
}
