package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var (
	snippet = regexp.MustCompile("(?m)^<!-- from (\\S+) -->\n```go\n((?s:.*?\n))```$")
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	section = regexp.MustCompile(`"((?:[a-z]+-)*[a-z]+)"`)
)

// What the page shows is what the other tests of this package run. … stands for lines that are left out.
func TestTheSnippetsOfThePageAreCodeThatRuns(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "embedding.md"))
	g.Expect(err).NotTo(HaveOccurred())
	retrofitted := map[string]*project{}
	snippets := snippet.FindAllStringSubmatch(string(page), -1)
	g.Expect(len(snippets)).To(BeNumerically(">=", 8))
	for _, s := range snippets {
		name, file := s[1], filepath.Join(root, s[1])
		parts := strings.SplitN(name, "/", 3)
		if example := parts[1]; exists(filepath.Join(root, "examples", example, "retrofit.patch")) {
			if retrofitted[example] == nil {
				retrofitted[example] = copyProject(t, example)
				retrofitted[example].retrofit()
			}
			file = filepath.Join(retrofitted[example].dir, parts[2])
		}
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(missing(s[2], string(text))).To(BeEmpty(), "docs/embedding.md shows what is not in %s", name)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// missing is the first piece of a snippet that does not follow in a text.
func missing(snippet, text string) string {
	piece := ""
	for line := range strings.Lines(snippet + "…\n") {
		if strings.TrimSpace(line) != "…" {
			piece += line
			continue
		}
		_, after, ok := strings.Cut(text, piece)
		if !ok {
			return piece
		}
		text, piece = after, ""
	}
	return ""
}

// `holdfast init` sends people to sections of the page.
func TestTheSectionsThatInitNamesAreThere(t *testing.T) {
	g := NewWithT(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "embedding.md"))
	g.Expect(err).NotTo(HaveOccurred())
	anchors := map[string]bool{}
	for _, h := range heading.FindAllStringSubmatch(string(page), -1) {
		anchors[strings.ReplaceAll(strings.ToLower(h[1]), " ", "-")] = true
	}
	files, err := filepath.Glob(filepath.Join(root, "internal", "scaffold", "*.go"))
	g.Expect(err).NotTo(HaveOccurred())
	named := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		for line := range strings.Lines(string(text)) {
			if !strings.Contains(line, "refuse(") && !strings.Contains(line, "Section: ") {
				continue
			}
			_, after, ok := strings.Cut(line, "Section: ")
			if !ok {
				_, after, _ = strings.Cut(line, "refuse(")
			}
			if m := section.FindStringSubmatch(after); m != nil {
				named++
				g.Expect(anchors).To(HaveKey(m[1]), fmt.Sprintf("%s names this section", filepath.Base(file)))
			}
		}
	}
	g.Expect(named).To(BeNumerically(">", 10))
}
