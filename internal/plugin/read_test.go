//go:build unix

package plugin_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

const hostile = "a\x1b[2J\u009b31m\u202eevil"

// A foreign kind is found, and what its status says reaches no terminal as a command.
func TestListsEveryKindWithAnOutbox(t *testing.T) {
	f := setup(t)
	b := f.backup("settings")
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: "Running"})
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Copied", Phase: "Done"})
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(nr)

	for name, args := range map[string][]string{
		"list.txt": {"list"}, "list-wide.txt": {"list", "-o", "wide"}, "list.json": {"list", "-o", "json"}, "list.yaml": {"list", "backups", "-o", "yaml"}, "list-name.txt": {"list", "-o", "name"},
		"entries.txt": {"entries", "backup/settings"}, "entries.json": {"entries", "backup", "settings", "-o", "json"},
	} {
		s := f.in(args...)
		f.Expect(s.Code).To(BeZero(), "%+v", s)
		f.golden(name, s.Stdout)
	}
	s := f.in("list", "--pending", "-o", "name")
	f.Expect(s.Stdout).To(Equal("backup.backups.example.com/settings\n"))

	s = f.program(nil, filepath.Join(programs, "kubectl"), "outbox", "list", "backups", "-n", f.namespace)
	f.Expect(s).To(And(HaveField("Code", 0), HaveField("Stdout", ContainSubstring("settings"))))
	s = f.program(nil, filepath.Join(programs, "kubectl-outbox"), "approvals")
	f.Expect(s).To(And(HaveField("Code", 2), HaveField("Stderr", ContainSubstring(`unknown command "approvals"`))))
}

func TestHostileTextReachesNoTerminal(t *testing.T) {
	f := setup(t)
	b := f.backup("settings")
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: hostile})
	f.read(b)
	f.patch(b, `{"metadata":{"finalizers":["holdfast.dev/outbox","example.com/`+strings.Repeat("x", 20)+`"]}}`)
	for _, args := range [][]string{
		{"list"}, {"list", "-o", "json"}, {"list", "-o", "yaml"}, {"entries", "backup/settings"}, {"entries", "backup/settings", "-o", "json"}, {"entries", "backup/settings", "-o", "yaml"},
		{"explain", "backup/settings"}, {"wait", "backup/settings", "--for", hostile, "--timeout=1s"}, {"explain", "backup/" + hostile}, {"list", hostile},
	} {
		s := f.in(args...)
		f.Expect(strings.ContainsAny(s.Stdout+s.Stderr, "\x1b\u009b\u202e\r")).To(BeFalse(), "%q: %+v", args, s)
	}
}

func TestBadInput(t *testing.T) {
	f := setup(t)
	f.create(testenv.MakeNotification(f.namespace, "cart-crash").Obj())
	for name, test := range map[string]struct {
		env  []string
		args []string
		code int
		want string
	}{
		"a name that is not there": {nil, []string{"explain", "nr/cart-crush"}, 2, `did you mean cart-crash?`},
		"no such request":          {nil, []string{"tree", "cart-crush"}, 2, "`kubectl holdfast list remediationrequest.holdfast.dev -A` shows those that exist"},
		"no such analysis":         {nil, []string{"approve", "cart-crush", "--reason=x"}, 2, "no aianalysis.holdfast.dev has the name"},
		"no such history":          {nil, []string{"history", "nr/cart-crush"}, 2, "cart-crush"},
		"no such wait":             {nil, []string{"wait", "nr/cart-crush", "--for=closed"}, 2, `did you mean cart-crash?`},
		"a kind that is not there": {nil, []string{"list", "carts"}, 2, `KIND is "carts", which the cluster does not serve`},
		"a kind without an outbox": {nil, []string{"entries", "sa/remediator"}, 2, "a kind of Kubernetes itself, which has no outbox"},
		"no name":                  {nil, []string{"entries", "nr"}, 2, "expected KIND/NAME"},
		"a format":                 {nil, []string{"list", "-o", "jsn"}, 2, `--output is "jsn", expected table, wide, json, yaml or name`},
		"an order":                 {nil, []string{"list", "--sort-by", "size"}, 2, `--sort-by is "size", expected name, pending, bytes, oldest or age`},
		"no goal":                  {nil, []string{"wait", "nr/cart-crash"}, 2, "--for is missing, expected drained, closed or a phase"},
		"nothing to explain":       {nil, []string{"explain"}, 2, `"kubectl holdfast explain" takes KIND/NAME, as in rr/cart-crash; got 0 arguments`},
		"an argument too many":     {nil, []string{"drain", "cart"}, 2, `takes flags only, got the argument "cart"`},
		"a name in a list":         {nil, []string{"list", "nr/cart-crash"}, 2, "`kubectl holdfast entries nr/cart-crash` shows one"},
		"another kind":             {nil, []string{"approve", "nr/cart-crash", "--reason=x"}, 2, "the argument is a notificationrequest.holdfast.dev, expected an aianalysis.holdfast.dev"},
		"a uid":                    {nil, []string{"history", "nr/cart-crash", "--uid", "cart"}, 2, `--uid is "cart"`},
		"neither name nor time":    {nil, []string{"report"}, 2, "got neither the name of a request nor --since"},
		"both name and time":       {nil, []string{"report", "cart", "--since=1h"}, 2, "got the name of a request and --since"},
		"a misspelt verb":          {nil, []string{"aprovals"}, 2, `did you mean "approvals"?`},
		"no kubeconfig":            {[]string{"KUBECONFIG=" + filepath.Join(home, "none")}, []string{"list"}, 2, "no cluster: the kubeconfig is missing or empty"},
		"no cluster":               {nil, []string{"list", "--server", "https://127.0.0.1:1"}, 2, "check the cluster's address"},
		"no rights":                {nil, []string{"list", "--as", "nobody"}, 2, "nothing could be read"},
		"a wait that takes long":   {nil, []string{"wait", "nr/cart-crash", "--for=drained", "--timeout=10ms"}, 124, "timeout after 10ms"},
		"watch and JSON":           {nil, []string{"list", "-w", "-o", "json"}, 2, "with --watch"},
		"no reason":                {nil, []string{"approve", "x"}, 2, "--reason has 0 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := f.program(test.env, filepath.Join(programs, "kubectl-holdfast"), append(test.args, "-n", f.namespace)...)
			g.Expect(s.Stderr).To(ContainSubstring(test.want))
			g.Expect(s.Code).To(Equal(test.code))
		})
	}
}

// measured runs a program, and returns its exit status and the most memory that it had, as far as was seen while it ran.
func (f *fixture) measured(args ...string) (code int, resident int64) {
	f.t.Helper()
	cmd := exec.CommandContext(ctx, filepath.Join(programs, args[0]), args[1:]...)
	cmd.Env = surroundings()
	f.Expect(cmd.Start()).To(Succeed())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // the exit status says it
	}()
	for {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		if _, after, ok := strings.Cut(string(status), "VmHWM:"); err == nil && ok {
			kib, _ := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
			resident = max(resident, kib<<10)
		}
		select {
		case <-ended:
			return cmd.ProcessState.ExitCode(), resident
		case <-time.After(time.Millisecond):
		}
	}
}

// A list is read page by page, so its memory does not grow with the resources. `make bench ONLY=plugin` does it with 20,000, and measures the time.
func TestPages(t *testing.T) {
	f := setup(t)
	const many = 1100
	var together errgroup.Group
	together.SetLimit(16)
	for i := range many {
		together.Go(func() error {
			return api.Create(ctx, &backupv1.Backup{Spec: backupv1.BackupSpec{Source: "a", Target: "b", EverySeconds: 10}, ObjectMeta: metav1.ObjectMeta{
				Namespace: f.namespace, Name: fmt.Sprintf("settings-%05d", i), Annotations: map[string]string{"example.com/pad": strings.Repeat("x", 2000)}}})
		})
	}
	f.Expect(together.Wait()).To(Succeed())
	for _, verb := range [][]string{{"list", "backups"}, {"status"}} {
		code, resident := f.measured(append(append([]string{"kubectl-holdfast"}, verb...), "-n", f.namespace)...)
		f.Expect(code).To(BeZero(), "%q", verb)
		f.Expect(resident).To(BeNumerically("<", 200<<20))
	}
	f.Expect(strings.Count(f.in("list", "backups", "-o", "name").Stdout, "\n")).To(Equal(many))
	shown := f.onTerminal("list", "backups", "--sort-by", "age")
	f.Expect(shown.ends()).To(BeZero())
	f.Eventually(shown.text).Should(And(ContainSubstring("\r1000 resources read"), ContainSubstring("\r\x1b[K"), ContainSubstring("settings-00000")))
}

func TestHelpHasAnExampleForEachVerb(t *testing.T) {
	f := setup(t)
	s := f.kubectl("--help")
	f.Expect(s.Code).To(BeZero())
	_, commands, _ := strings.Cut(s.Stdout, "Available Commands:\n")
	for l := range strings.SplitSeq(commands, "\n") {
		verb, _, _ := strings.Cut(strings.TrimSpace(l), " ")
		if verb == "" {
			break
		}
		if verb == "help" || verb == "completion" {
			continue
		}
		f.Expect(f.kubectl(verb, "--help").Stdout).To(And(ContainSubstring("Examples:"), MatchRegexp(`-h, --help +help for`), Not(ContainSubstring("true|false"))), verb)
	}
}
