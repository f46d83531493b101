//go:build unix

package storage

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// calls are the blocks of the page that run: a call, and below it what it prints.
var calls = regexp.MustCompile("(?s)```sh curl\n(.*?)\n# (.*?)```")

// Each curl line of the documentation runs as it is written, with the variables of DIR/env, and prints what is written below it.
func TestTheDocumentedCalls(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed, and the documented calls are curl's")
	}
	g := NewWithT(t)
	stack := start(t)
	content, err := os.ReadFile(filepath.Join(stack.Dir, "env"))
	g.Expect(err).NotTo(HaveOccurred())
	env := append(os.Environ(), strings.Fields(string(content))...)
	page, err := os.ReadFile("../../../docs/storage-api.md")
	g.Expect(err).NotTo(HaveOccurred())

	called := ""
	for _, block := range calls.FindAllStringSubmatch(string(page), -1) {
		command, want := block[1], strings.ReplaceAll(block[2], "\n# ", "\n")
		c := exec.CommandContext(t.Context(), "bash", "-c", command)
		c.Env = env
		out, err := c.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
		g.Expect(strings.Fields(string(out))).To(Equal(strings.Fields(want)), command)
		called += command + "\n"
	}
	for _, path := range posts(t, stack.StorageURL) {
		g.Expect(called).To(ContainSubstring(`"$HOLDFAST_STORAGE_URL`+path+`"`), "each endpoint is called")
	}
	verify := exec.CommandContext(t.Context(), program, "verify")
	verify.Env = env
	out, err := verify.CombinedOutput()
	g.Expect(err).NotTo(HaveOccurred(), string(out))
	g.Expect(string(out)).To(ContainSubstring("5 posted rows"))
}

// posts are the paths that take records, as the service says.
func posts(t *testing.T, url string) []string {
	t.Helper()
	g := NewWithT(t)
	answer, err := http.Get(url + "/openapi.json")
	g.Expect(err).NotTo(HaveOccurred())
	defer answer.Body.Close()
	var document struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	g.Expect(json.NewDecoder(answer.Body).Decode(&document)).To(Succeed())
	var paths []string
	for path, item := range document.Paths {
		if item["post"] != nil {
			paths = append(paths, path)
		}
	}
	g.Expect(len(paths)).To(BeNumerically(">=", 4))
	return paths
}
