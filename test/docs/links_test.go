package docs

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	. "github.com/onsi/gomega"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// root is the repository's.
const root = "../.."

// page is what one file links to, and what can be linked to in it.
type page struct {
	links   []string
	anchors map[string]bool
}

var markup = goldmark.New(goldmark.WithExtensions(extension.GFM))

// html finds anchors and links that are written as HTML.
var (
	htmlAnchor = regexp.MustCompile(`<a (?:name|id)="([^"]+)"`)
	htmlLink   = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
)

func read(source []byte) page {
	p := page{anchors: map[string]bool{}}
	seen := map[string]int{}
	_ = ast.Walk(markup.Parser().Parse(text.NewReader(source)), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			slug := slugOf(string(n.Text(source))) //nolint:staticcheck // the versions of goldmark that go.mod allows have no other
			if count := seen[slug]; count > 0 {
				p.anchors[fmt.Sprintf("%s-%d", slug, count)] = true
			}
			p.anchors[slug] = true
			seen[slug]++
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.RawHTML:
			for i := range n.Segments.Len() {
				segment := n.Segments.At(i)
				p.html(string(segment.Value(source)))
			}
		case *ast.HTMLBlock:
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				p.html(string(line.Value(source)))
			}
		}
		return ast.WalkContinue, nil
	})
	return p
}

func (p *page) html(text string) {
	for _, found := range htmlAnchor.FindAllStringSubmatch(text, -1) {
		p.anchors[found[1]] = true
	}
	for _, found := range htmlLink.FindAllStringSubmatch(text, -1) {
		p.links = append(p.links, found[1])
	}
}

// slugOf is the anchor that GitHub makes of a heading, and the site too.
func slugOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

// pages are all Markdown files of the repository.
func pages(t *testing.T) map[string]page {
	t.Helper()
	all := map[string]page{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, root+string(filepath.Separator)))
		if entry.IsDir() && (slices.Contains([]string{".git", ".dev", "bin", "dist", "coverage", "docs/reference"}, name) || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return fs.SkipDir
		}
		if path.Ext(name) != ".md" {
			return nil
		}
		source, err := os.ReadFile(file)
		all[name] = read(source)
		return err
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return all
}

// broken says what is wrong with a link of a page, "" if nothing is or if it leaves the repository.
func broken(all map[string]page, from, link string) string {
	parsed, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if parsed.Scheme != "" || parsed.Host != "" {
		return ""
	}
	to := from
	if parsed.Path != "" {
		to = path.Join(path.Dir(from), parsed.Path)
		if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(to))); err != nil {
			return "there is no " + to
		}
	}
	if p, known := all[to]; parsed.Fragment != "" && known && !p.anchors[parsed.Fragment] {
		return to + " has no heading #" + parsed.Fragment
	}
	return ""
}

func TestEveryLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	checked := 0
	for from, p := range all {
		for _, link := range p.links {
			checked++
			if wrong := broken(all, from, link); wrong != "" {
				t.Errorf("%s links to %s: %s", from, link, wrong)
			}
		}
	}
	NewWithT(t).Expect(checked).To(BeNumerically(">", 300))
}

// Alerts lead people to a section of a page in the middle of the night.
func TestEveryRunbookIsThere(t *testing.T) {
	g := NewWithT(t)
	rules, err := os.ReadFile(filepath.Join(root, "config", "prometheus", "rules.yaml"))
	g.Expect(err).NotTo(HaveOccurred())
	all := pages(t)
	urls := regexp.MustCompile(`runbook_url: https://github\.com/holdfast-dev/holdfast/blob/main/(\S+)`).FindAllStringSubmatch(string(rules), -1)
	g.Expect(urls).To(HaveLen(strings.Count(string(rules), "- alert: ")))
	for _, found := range urls {
		g.Expect(broken(all, ".", found[1])).To(BeEmpty())
	}
}

// The site finds dead links of pages, and not those of its own sidebar.
func TestTheSidebarLeadsToEveryPage(t *testing.T) {
	g := NewWithT(t)
	config, err := os.ReadFile(filepath.Join(root, "docs", ".vitepress", "config.mts"))
	g.Expect(err).NotTo(HaveOccurred())
	all, linked := pages(t), map[string]bool{}
	for _, found := range regexp.MustCompile(`link: '/([^'#]+)(#[^']+)?'`).FindAllStringSubmatch(string(config), -1) {
		if strings.HasPrefix(found[1], "reference/") || strings.HasSuffix(found[1], "/") { // generated, or a folder
			continue
		}
		linked[found[1]+".md"] = true
		g.Expect(broken(all, "docs/README.md", found[1]+".md"+found[2])).To(BeEmpty())
	}
	for name := range all {
		if page, found := strings.CutPrefix(name, "docs/"); found && !strings.Contains(page, "/") && page != "README.md" {
			g.Expect(linked).To(HaveKey(page), "the sidebar of the site")
		}
	}
}

// What the check must find: each of these is a mistake that was made somewhere.
func TestBrokenLinksAreFound(t *testing.T) {
	g := NewWithT(t)
	all := map[string]page{"docs/a.md": read([]byte("# The `code` of a thing, and its end\n\n## Twice\n\n## Twice\n\n<a name=\"by-hand\"></a>\n"))}
	for _, link := range []string{"#the-code-of-a-thing-and-its-end", "#twice", "#twice-1", "#by-hand", "https://example.com/none", "../README.md"} {
		g.Expect(broken(all, "docs/a.md", link)).To(BeEmpty(), link)
	}
	for _, link := range []string{"#twice-2", "#The-code", "nowhere.md", "../docs/nowhere.md#twice", "../nowhere/"} {
		g.Expect(broken(all, "docs/a.md", link)).NotTo(BeEmpty(), link)
	}
}
