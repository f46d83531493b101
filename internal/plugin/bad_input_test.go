//go:build unix

package plugin_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// A cluster without Holdfast gets one sentence from each verb, with what to do.
func TestNoCustomResourceDefinitions(t *testing.T) {
	f := setup(t)
	empty, err := localcluster.Start(ctx, localcluster.Options{Dir: t.TempDir()})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(empty.Stop()).To(Succeed()) })
	for _, args := range [][]string{
		{"status"}, {"list"}, {"list", "rr"}, {"drain", "--timeout=1s"}, {"entries", "rr/cart"}, {"explain", "rr/cart"}, {"wait", "rr/cart", "--for=closed"}, {"history", "rr/cart"},
		{"tree", "cart"}, {"approvals"}, {"approve", "cart-analysis", "--reason=x", "--yes"}, {"cancel", "cart", "--yes"},
	} {
		s := f.program([]string{"KUBECONFIG=" + empty.Kubeconfig()}, filepath.Join(programs, "kubectl-holdfast"), args...)
		f.Expect(s.Code).To(Equal(2), "%q: %+v", args, s)
		f.Expect(s.Stdout).To(BeEmpty(), "%q", args)
		f.Expect(s.Stderr).To(And(ContainSubstring("kubectl apply -k config/crd --server-side"), HaveSuffix("\n")), "%q", args)
		f.Expect(strings.Count(s.Stderr, "\n")).To(Equal(1), "%q: %+v", args, s)
	}
	s := f.program([]string{"KUBECONFIG=" + empty.Kubeconfig()}, filepath.Join(programs, "kubectl-holdfast"), "check")
	f.Expect(s).To(And(HaveField("Code", 1), HaveField("Stdout", And(MatchRegexp(`failed +kinds`), ContainSubstring("kubectl apply -k config/crd --server-side")))))
}

// A server that is newer than this program: what it adds changes nothing, and version says it.
func TestANewerServer(t *testing.T) {
	f := setup(t)
	b := f.backup("settings")
	f.append(b, entry.Change{Kind: "backups.example.com", Event: "Started", Phase: "Running"})
	url, err := url.Parse(stack.Cluster.RESTConfig().Host)
	f.Expect(err).NotTo(HaveOccurred())
	proxy := httputil.NewSingleHostReverseProxy(url)
	proxy.Transport, err = rest.TransportFor(stack.Cluster.RESTConfig())
	f.Expect(err).NotTo(HaveOccurred())
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.URL.Path == "/version" {
			return changed(r, func(body map[string]any) { body["minor"], body["gitVersion"] = "99", "v1.99.0" })
		}
		if strings.HasSuffix(r.Request.URL.Path, "/backups") {
			return changed(r, func(body map[string]any) {
				body["shape"] = "new"
				for _, item := range body["items"].([]any) {
					status := item.(map[string]any)["status"].(map[string]any)
					status["conditions"], status["outbox"].(map[string]any)["colour"] = "of another shape", "blue"
				}
			})
		}
		return nil
	}
	newer := httptest.NewServer(proxy)
	t.Cleanup(newer.Close)
	s := f.in("version", "--server", newer.URL)
	f.Expect(s).To(And(HaveField("Code", 1), HaveField("Stdout", And(ContainSubstring("v1.99.0"), ContainSubstring("take a newer release")))))
	s = f.in("list", "backups", "--server", newer.URL)
	f.Expect(s).To(And(HaveField("Code", 0), HaveField("Stdout", MatchRegexp(`backup.backups.example.com/settings +- +pending +1 `))))
}

// changed rewrites the body of an answer.
func changed(r *http.Response, by func(map[string]any)) error {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		return err
	}
	by(body)
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.Body, r.ContentLength = io.NopCloser(strings.NewReader(string(text))), int64(len(text))
	r.Header.Del("Content-Length")
	r.Header.Del("Content-Encoding")
	return nil
}

// Half of the rights show half of the facts, and each verb names what is missing.
func TestSomeRights(t *testing.T) {
	f := setup(t)
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(nr)
	f.append(nr, change("Created", "Pending", false))
	f.create(testenv.MakeRemediation(f.namespace, "cart").Obj())
	for _, args := range [][]string{
		{"create", "role", "some", "--verb=get,list", "--resource=notificationrequests.holdfast.dev,remediationrequests.holdfast.dev"},
		{"create", "rolebinding", "some", "--role=some", "--user=jane"},
	} {
		s := f.program(nil, filepath.Join(programs, "kubectl"), append(args, "-n", f.namespace)...)
		f.Expect(s.Code).To(BeZero(), "%+v", s)
	}
	for verb, test := range map[string]struct {
		args           []string
		code           int
		stdout, stderr string
	}{
		"list":      {[]string{"list"}, 2, "Could not read aianalyses.holdfast.dev", ""},
		"status":    {[]string{"status"}, 2, "Could not read managers: leases.coordination.k8s.io is forbidden", ""},
		"explain":   {[]string{"explain", "nr/news"}, 0, "Could not read Events of the resource", ""},
		"entries":   {[]string{"entries", "nr/news"}, 0, "1 entry", ""},
		"tree":      {[]string{"tree", "cart"}, 2, "", `cannot list resource "aianalyses"`},
		"approvals": {[]string{"approvals"}, 2, "", `cannot list resource "aianalyses"`},
		"drain":     {[]string{"drain"}, 2, "", "could not read aianalyses.holdfast.dev"},
		"cancel":    {[]string{"cancel", "cart", "--yes"}, 2, "", "cannot patch"},
	} {
		s := f.in(append(test.args, "--as=jane")...)
		f.Expect(s.Code).To(Equal(test.code), "%s: %+v", verb, s)
		f.Expect(s.Stdout).To(ContainSubstring(test.stdout), verb)
		f.Expect(s.Stderr).To(ContainSubstring(test.stderr), verb)
	}
}

// The reader of a pipe goes away: the program ends at once, as others do, and says nothing.
func TestAPipeThatIsClosed(t *testing.T) {
	f := setup(t)
	f.backup("settings")
	for _, args := range [][]string{{"list"}, {"list", "--watch", "--interval=100ms"}, {"status", "-o", "json"}} {
		read, write, err := os.Pipe()
		f.Expect(err).NotTo(HaveOccurred())
		f.Expect(read.Close()).To(Succeed())
		cmd := exec.CommandContext(ctx, filepath.Join(programs, "kubectl-holdfast"), append(args, "-n", f.namespace)...)
		cmd.Env = surroundings()
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = write, &stderr
		f.Expect(cmd.Run()).NotTo(Succeed())
		f.Expect(write.Close()).To(Succeed())
		f.Expect(cmd.ProcessState.Sys().(syscall.WaitStatus).Signal()).To(Equal(syscall.SIGPIPE), "%q", args)
		f.Expect(stderr.String()).To(BeEmpty(), "%q", args)
	}
}
