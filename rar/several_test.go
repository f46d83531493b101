package rar_test

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"golang.org/x/net/html"

	"github.com/holdfast-dev/holdfast/rar"
)

// goldenReports are the reports of the golden files, read back from JSON, by the file's name without its ending.
func goldenReports(g *WithT) map[string]*rar.Report {
	files, err := filepath.Glob("testdata/golden/*.json")
	g.Expect(err).NotTo(HaveOccurred())
	reports := map[string]*rar.Report{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		var r rar.Report
		g.Expect(json.Unmarshal(text, &r)).To(Succeed())
		reports[strings.TrimSuffix(file, ".json")] = &r
	}
	g.Expect(len(reports)).To(BeNumerically(">", 10))
	return reports
}

// goldenResults are these, and one that is not there.
func goldenResults(g *WithT) []rar.Result {
	results := []rar.Result{{RemediationID: `"><script>alert(1)</script>|`, Problem: "Not Found: there is no report | <b>of it</b>"}}
	reports := goldenReports(g)
	for _, name := range slices.Sorted(maps.Keys(reports)) {
		results = append(results, rar.Result{RemediationID: reports[name].RemediationID, Report: reports[name]})
	}
	return results
}

// A report that was read back from its JSON is written as it was: whoever has many as JSON needs no service to write them otherwise.
func TestAReportIsReadBackFromJSON(t *testing.T) {
	g := NewWithT(t)
	seen := 0
	for name, report := range goldenReports(g) {
		for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML, rar.FormatSVG} {
			want, err := os.ReadFile(name + "." + format)
			if err != nil {
				continue
			}
			var written bytes.Buffer
			g.Expect(rar.Render(&written, report, format)).To(Succeed())
			g.Expect(written.String()).To(Equal(string(want)), "%s as %s", name, format)
			seen++
		}
	}
	g.Expect(seen).To(BeNumerically(">", 20))
}

// A service may answer with less than a report has: a document of it says less, and nobody panics.
func TestAReportWithoutItsParts(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{`{}`, `{"ai":{},"approval":{},"execution":{},"effectiveness":{},"history":{}}`, `{"timeline":{"events":[{}],"spans":[{}]},"narrative":{"claims":[{}]},"recommendations":[{}],"notifications":[{}],
		"evidence":[{}],"other_rows":[{}],"complete":{"dead_letters":[{}],"clock_skew":[{}]},"ai":{"alternatives":[{}],"calibration":{}},"execution":{"steps":[{}]},"effectiveness":{"recurrences":[{}]},"history":{"cases":[{}]}}`} {
		var r rar.Report
		g.Expect(json.Unmarshal([]byte(text), &r)).To(Succeed())
		for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML} {
			g.Expect(rar.RenderReports(io.Discard, "One", []rar.Result{{Report: &r}}, format)).To(Succeed(), "%s of %s", format, text)
		}
	}
}

// In a document of many reports each anchor is there once, and each link leads to one of its own report.
func TestSeveralReportsInOneDocument(t *testing.T) {
	g := NewWithT(t)
	results := goldenResults(g)
	var written bytes.Buffer
	g.Expect(rar.RenderReports(&written, "Reports", results, rar.FormatHTML)).To(Succeed())
	document, err := html.Parse(bytes.NewReader(written.Bytes()))
	g.Expect(err).NotTo(HaveOccurred())
	anchors, links, articles := map[string]int{}, map[string]bool{}, 0
	for n := range document.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		g.Expect(n.Data).NotTo(Equal("script"))
		switch n.Data {
		case "article":
			articles++
		case "a":
			for _, a := range n.Attr {
				if a.Key == "href" {
					links[a.Val] = true
				}
			}
		}
		for _, a := range n.Attr {
			switch a.Key {
			case "id":
				anchors[a.Val]++
			case "aria-labelledby", "aria-describedby":
				for id := range strings.FieldsSeq(a.Val) {
					links["#"+id] = true
				}
			}
		}
	}
	g.Expect(articles).To(Equal(len(results) - 1))
	g.Expect(anchors).To(HaveEach(1))
	g.Expect(len(links)).To(BeNumerically(">", 100))
	for link := range links {
		g.Expect(anchors).To(HaveKey(strings.TrimPrefix(link, "#")), "a link to %s", link)
	}
}

// As Markdown, the list comes first, and each report is as it would be alone.
func TestSeveralReportsAsMarkdown(t *testing.T) {
	g := NewWithT(t)
	results := goldenResults(g)
	var written bytes.Buffer
	g.Expect(rar.RenderReports(&written, "Reports", results, rar.FormatMarkdown)).To(Succeed())
	list, rest, _ := strings.Cut(written.String(), "\n---\n")
	lines := strings.Split(strings.TrimSpace(list), "\n")
	g.Expect(lines).To(HaveLen(len(results)+4), "a heading, an empty line, the head of the table, and a line each")
	for _, l := range lines[2:] {
		g.Expect(strings.Count(strings.ReplaceAll(l, `\|`, ""), "|")).To(Equal(8), l)
	}
	for _, r := range results[1:] {
		var alone bytes.Buffer
		g.Expect(rar.Render(&alone, r.Report, rar.FormatMarkdown)).To(Succeed())
		g.Expect(rest).To(ContainSubstring(alone.String()))
	}
	g.Expect(rar.RenderReports(&written, "Reports", results, rar.FormatSVG)).NotTo(Succeed())
	written.Reset()
	g.Expect(rar.RenderList(&written, "Nothing", nil, rar.FormatMarkdown)).To(Succeed())
	g.Expect(written.String()).To(Equal("# Nothing\n\nThere is none.\n"))
}
