//go:build unix

package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

var program string

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	var err error
	if program, err = gexec.Build("github.com/holdfast-dev/holdfast/cmd/holdfast"); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	code := m.Run()
	gexec.CleanupBuildArtifacts()
	os.Exit(code)
}

// page is what the test reads.
const page = "../../../docs/reports.md"

// blocks are the shell blocks of the page.
var blocks = regexp.MustCompile("(?s)```sh\n(.*?)```")

// shell runs what the page shows, in a folder that has what it names: the program, the folder of holdfast dev, and a certificate.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

func (s *shell) run(script string) string {
	s.t.Helper()
	c := exec.CommandContext(s.t.Context(), "bash", "-euc", script)
	c.Dir, c.Env = s.dir, s.env
	var out, failed bytes.Buffer
	c.Stdout, c.Stderr = &out, &failed
	NewWithT(s.t).Expect(c.Run()).To(Succeed(), "%s\n%s", script, failed.String())
	return out.String()
}

// Each command of the page runs as it is written, with the id of a remediation that is there: those of holdfast rar, of curl, those that give a caller their right, and those that install.
func TestTheDocumentedCommands(t *testing.T) {
	for _, tool := range []string{"bash", "curl", "jq", "kubectl", "psql", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("NOT TRIED: %s is not installed, and the documented commands are of it", tool)
		}
	}
	g := NewWithT(t)
	model := httptest.NewServer(http.NotFoundHandler()) // a model that is away: narratives are those of the rules
	t.Cleanup(model.Close)
	stack, err := dev.Start(t.Context(), dev.Options{Dir: t.TempDir(), Program: program, Progress: t.Output(), NarratorURL: model.URL, NarratorModel: "none"})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(stack.Stop()).To(Succeed()) })
	id := post(t, stack)

	dir := t.TempDir()
	g.Expect(os.Mkdir(filepath.Join(dir, "bin"), 0o755)).To(Succeed())
	g.Expect(os.Symlink(program, filepath.Join(dir, "bin", "holdfast"))).To(Succeed())
	g.Expect(os.Symlink(stack.Dir, filepath.Join(dir, ".dev"))).To(Succeed())
	s := &shell{t: t, dir: dir, env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "KUBECONFIG=" + stack.Cluster.Kubeconfig(), "OWNER_URL=" + stack.Postgres.URL()}}
	s.run("kubectl create namespace shop && kubectl get namespace holdfast-system || kubectl create namespace holdfast-system")
	s.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.crt -days 1 -subj /CN=holdfast-reports.holdfast-system.svc")

	content, err := os.ReadFile(page)
	g.Expect(err).NotTo(HaveOccurred())
	text := string(content)
	found := blocks.FindAllStringSubmatch(text, -1)
	g.Expect(len(found)).To(BeNumerically(">=", 4))
	const export = "export $(cat .dev/env)\n"
	printed := map[string]string{}
	for _, block := range found {
		for command := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", "")) {
			command = regexp.MustCompile(`\bID\b`).ReplaceAllString(strings.TrimSpace(command), id)
			if command != "" && !strings.HasPrefix(command, "#") {
				command, _, _ = strings.Cut(command, "  #")
				printed[strings.TrimSpace(command)] = s.run(export + strings.Replace(command, "curl ", "curl --fail --silent --show-error ", 1))
			}
		}
	}
	g.Expect(printed).To(HaveKeyWithValue("bin/holdfast rar get "+id, ContainSubstring("DocumentedAlert")))
	html, err := os.ReadFile(filepath.Join(dir, "report.html"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(html)).To(And(HavePrefix("<!DOCTYPE html>"), ContainSubstring("DocumentedAlert")))
	lines, err := os.ReadFile(filepath.Join(dir, "reports.ndjson"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(lines)).To(ContainSubstring(id))
	for file, holds := range map[string]string{"reports.html": "DocumentedAlert on worker-7", "week.md": "| DocumentedAlert |"} {
		document, err := os.ReadFile(filepath.Join(dir, file))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(string(document)).To(And(ContainSubstring(id), ContainSubstring(holds)), file)
	}
	told, err := os.ReadFile(filepath.Join(dir, "told.ndjson"))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(told)).To(And(ContainSubstring(id), ContainSubstring(`"narrative":{"status":"rules","reason":"unavailable"`)))

	// The token that the page makes is one of a caller who may read that namespace, and sees nothing of what was posted.
	token := ""
	for command, out := range printed {
		if strings.Contains(command, "create token auditor") {
			token = strings.TrimSpace(out)
		}
	}
	g.Expect(token).NotTo(BeEmpty())
	g.Eventually(func() string {
		return s.run(export + `curl --silent "$HOLDFAST_REPORTS_URL/api/v2/rar?start=2026-11-01T00:00:00Z&end=2026-12-01T00:00:00Z" -H "Authorization: Bearer ` + token + `"`)
	}, time.Minute).Should(MatchJSON(`{"items": [], "next": null}`))
	g.Expect(s.run(export + `curl --silent --output /dev/null --write-out '%{http_code}' "$HOLDFAST_REPORTS_URL/api/v2/rar/` + id + `" -H "Authorization: Bearer ` + token + `"`)).To(Equal("404"))

	// Each endpoint of the page's table is one of the service, and the other way round.
	answer, err := http.Get(stack.ReportsURL + "/openapi.json")
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	var document struct{ Paths map[string]map[string]any }
	g.Expect(json.NewDecoder(answer.Body).Decode(&document)).To(Succeed())
	for path, item := range document.Paths {
		for method := range item {
			if strings.HasPrefix(path, "/api/") {
				g.Expect(text).To(ContainSubstring("`"+strings.ToUpper(method)+" "+path), "the table of endpoints")
			}
		}
	}
}

// post writes a record as somebody would who worked by hand, and returns the remediation's id.
func post(t *testing.T, stack *dev.Stack) string {
	t.Helper()
	g := NewWithT(t)
	const id = "by-hand-17"
	now := time.Now().UTC().Add(-time.Minute).Format(time.RFC3339)
	record := fmt.Sprintf(`{"remediation_id": %q, "signal_fingerprint": "f", "signal_received_at": %q, "remediation_created_at": %[2]q, "completed_at": %[2]q, "outcome": "remediated",
		"signal_context": {"name": "DocumentedAlert", "severity": "warning"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "worker-7"}}`, id, now)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, stack.StorageURL+"/api/v1/audit/orchestration", strings.NewReader(record))
	g.Expect(err).NotTo(HaveOccurred())
	r.Header.Set("Authorization", "Bearer "+stack.StorageToken)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	g.Expect(answer.StatusCode).To(Equal(http.StatusCreated))
	return id
}
