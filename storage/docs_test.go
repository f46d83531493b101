package storage

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var curlBlock = regexp.MustCompile("(?s)```sh curl\n(.*?)```")

// Each curl line of the documentation runs as it is written, and prints what is written below it.
func TestTheDocumentedCalls(t *testing.T) {
	g := NewWithT(t)
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	s := start(t)
	text, err := os.ReadFile("../docs/storage-api.md")
	g.Expect(err).NotTo(HaveOccurred())
	blocks := curlBlock.FindAllStringSubmatch(string(text), -1)
	for _, e := range endpoints() {
		g.Expect(string(text)).To(ContainSubstring(`curl -sS -w ' %{http_code}\n' "$HOLDFAST_STORAGE_URL` + e.path + `"`))
	}
	for _, block := range blocks {
		command, want, _ := strings.Cut(block[1], "\n# ")
		c := exec.CommandContext(t.Context(), "sh", "-c", command)
		c.Env = append(os.Environ(), "HOLDFAST_STORAGE_URL="+s.url, "HOLDFAST_STORAGE_TOKEN=poster")
		out, err := c.CombinedOutput()
		g.Expect(err).NotTo(HaveOccurred(), string(out))
		g.Expect(strings.Fields(string(out))).To(Equal(strings.Fields(strings.ReplaceAll(want, "\n# ", "\n"))), command)
	}
	g.Expect(s.count("notification_audit")).To(Equal(2))
	s.verified()
}
