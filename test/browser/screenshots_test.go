package browser

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

var docs = flag.String("docs", "", "folder of the documentation, to write pictures and examples of the pages into")

// maxPicture bounds a picture that the repository holds, in bytes.
const maxPicture = 250 << 10

// TestScreenshots writes the pictures and files of docs/reports.md: make screenshots.
func TestScreenshots(t *testing.T) {
	if *docs == "" {
		t.Skip("no folder is given; see make screenshots")
	}
	for _, dir := range []string{"images", "examples"} {
		NewWithT(t).Expect(os.MkdirAll(filepath.Join(*docs, dir), 0o755)).To(Succeed())
	}
	report := "/remediations/" + site.ids["worked"]
	for _, p := range []struct {
		name, path string
		look       look
		height     float64
	}{
		{"list", "/", look{}, 1000}, {"list-dark", "/", look{dark: true}, 1000}, {"list-phone", "/", look{phone: true}, 1100},
		{"report", report, look{}, 1400}, {"report-dark", report, look{dark: true}, 1400}, {"report-phone", report, look{phone: true}, 1600}, {"report-print", report, look{paper: true}, 1500},
		{"trends", "/trends?since=30d", look{}, 1900}, {"trends-dark", "/trends?since=30d", look{dark: true}, 1900}, {"trends-phone", "/trends?since=30d", look{phone: true}, 2000},
	} {
		t.Run(p.name, func(t *testing.T) {
			b := openTab(t, p.look, asReader)
			b.open(site.url+p.path, 200)
			width := 1200.0
			switch {
			case p.look.phone:
				width = 360
			case p.look.paper:
				width = paperWidth
			}
			picture := b.screenshot(p.height, width)
			b.Expect(len(picture)).To(BeNumerically("<", maxPicture), fmt.Sprintf("bytes of %s", p.name))
			b.Expect(os.WriteFile(filepath.Join(*docs, "images", p.name+".png"), picture, 0o644)).To(Succeed())
		})
	}
}

// TestScreenshotsAsFiles writes a report and trends as files.
func TestScreenshotsAsFiles(t *testing.T) {
	if *docs == "" {
		t.Skip("no folder is given; see make screenshots")
	}
	for name, path := range map[string]string{
		"report": "/api/v2/rar/" + site.ids["worked"] + "?format=html",
		"trends": trendsFile,
	} {
		g := NewWithT(t)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.url+path, http.NoBody)
		g.Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+token)
		answer, err := http.DefaultClient.Do(request)
		g.Expect(err).NotTo(HaveOccurred())
		text, err := io.ReadAll(answer.Body)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(answer.Body.Close()).To(Succeed())
		g.Expect(answer.StatusCode).To(Equal(http.StatusOK), string(text))
		g.Expect(os.WriteFile(filepath.Join(*docs, "examples", name+".html"), text, 0o644)).To(Succeed())
	}
}
