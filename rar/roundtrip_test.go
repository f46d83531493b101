package rar_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/rar"
)

// A report that was read back from its JSON is written as it was: whoever has many as JSON needs no service to write them otherwise.
func TestAReportIsReadBackFromJSON(t *testing.T) {
	g := NewWithT(t)
	files, err := filepath.Glob("testdata/golden/*.json")
	g.Expect(err).NotTo(HaveOccurred())
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		g.Expect(err).NotTo(HaveOccurred())
		for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML, rar.FormatSVG} {
			want, err := os.ReadFile(strings.TrimSuffix(file, "json") + format)
			if err != nil {
				continue
			}
			var r rar.Report
			g.Expect(json.Unmarshal(text, &r)).To(Succeed())
			var written bytes.Buffer
			g.Expect(rar.Render(&written, &r, format)).To(Succeed())
			g.Expect(written.String()).To(Equal(string(want)), "%s as %s", file, format)
			seen++
		}
	}
	g.Expect(seen).To(BeNumerically(">", 20))
}
