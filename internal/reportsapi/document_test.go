package reportsapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	. "github.com/onsi/gomega"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

const golden = "testdata/openapi.json"

// The document is a promise. A change of it is a decision, made with `go test ./internal/reportsapi -update`.
func TestTheDocumentIsTheGoldenOne(t *testing.T) {
	g := NewWithT(t)
	got := start(t).get("/openapi.json", "")
	g.Expect(got.status).To(Equal(http.StatusOK))
	if *update {
		g.Expect(os.MkdirAll("testdata", 0o755)).To(Succeed())
		g.Expect(os.WriteFile(golden, []byte(got.body), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Split(got.body, "\n")).To(Equal(strings.Split(string(want), "\n")))
	var document map[string]any
	g.Expect(json.Unmarshal([]byte(got.body), &document)).To(Succeed())
	g.Expect(document["openapi"]).To(Equal("3.1.0"))
	for _, ref := range regexp.MustCompile(`"\$ref": "#/([^"]*)"`).FindAllStringSubmatch(got.body, -1) {
		var at any = document
		for name := range strings.SplitSeq(ref[1], "/") {
			at, _ = at.(map[string]any)[name]
			g.Expect(at).NotTo(BeNil(), ref[1])
		}
	}
}

// Whoever reads the document alone learns what each parameter, answer and schema is.
func TestEverythingIsDescribed(t *testing.T) {
	g := NewWithT(t)
	o := newDocument()
	var missing []string
	for name, s := range o.Components.Schemas.Map() {
		g.Expect(s.Description).NotTo(BeEmpty(), "schema %s", name)
		for field, of := range s.Properties {
			if of.Ref == "" && of.Description == "" {
				missing = append(missing, name+"."+field)
			}
		}
	}
	slices.Sort(missing)
	g.Expect(missing).To(BeEmpty(), "fields without a description")
	for path, item := range o.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post} {
			if op == nil {
				continue
			}
			g.Expect(op.Summary).NotTo(BeEmpty(), path)
			for _, p := range op.Parameters {
				g.Expect(p.Description).NotTo(BeEmpty(), "%s, %s", path, p.Name)
			}
			for status, answer := range op.Responses {
				g.Expect(answer.Description+answer.Ref).NotTo(BeEmpty(), "%s, %s", path, status)
			}
		}
	}
}

// operation is one of the document, as a client reads it.
type operation struct {
	Parameters []struct {
		Name, In string
		Example  any
	}
	RequestBody struct {
		Content map[string]struct {
			Examples map[string]struct{ Value json.RawMessage }
		}
	}
	Responses map[string]struct {
		Content map[string]any
		Ref     string `json:"$ref"`
	}
}

// Every example of the document is a request that works, and is answered as the document says.
func TestTheExamplesWork(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	s.write(remediation{})
	var document struct {
		Paths map[string]map[string]operation
	}
	g.Expect(json.Unmarshal([]byte(s.get("/openapi.json", "").body), &document)).To(Succeed())
	g.Expect(document.Paths).To(HaveLen(7 + 5))
	documented := func(o operation, answer reply) {
		t.Helper()
		of, ok := o.Responses[fmt.Sprint(answer.status)]
		g.Expect(ok).To(BeTrue(), "%d: %s", answer.status, answer.body)
		if of.Ref == "" && answer.status != http.StatusNotModified {
			kind, _, err := mime.ParseMediaType(answer.header.Get("Content-Type"))
			g.Expect(err).NotTo(HaveOccurred())
			kinds := ""
			for k := range of.Content {
				kinds += " " + k
			}
			g.Expect(kinds).To(ContainSubstring(kind))
		}
	}
	for path, item := range document.Paths {
		if !strings.HasPrefix(path, "/api/") {
			continue
		}
		get, read := item["get"]
		query := url.Values{}
		at := path
		for _, p := range get.Parameters {
			switch {
			case p.Example == nil:
			case p.In == "path":
				at = strings.ReplaceAll(at, "{"+p.Name+"}", fmt.Sprint(p.Example))
			default:
				query.Set(p.Name, fmt.Sprint(p.Example))
			}
		}
		if read {
			answer := s.get(at+"?"+query.Encode(), "all")
			g.Expect(answer.status).To(BeElementOf(http.StatusOK, http.StatusNotFound), answer.body)
			documented(get, answer)
			documented(get, s.get(at+"?unknown=1", "all"))
			documented(get, s.get(at, ""))
			documented(get, s.get(at, "outage"))
		}
		for _, example := range item["post"].RequestBody.Content["application/json"].Examples {
			answer := s.do(http.MethodPost, at, "all", strings.NewReader(string(example.Value)), "Content-Type", "application/json")
			g.Expect(answer.status).To(Equal(http.StatusOK), answer.body)
			documented(item["post"], answer)
		}
	}
	id := s.write(remediation{})
	for _, format := range []string{"json", "md", "html", "svg"} {
		documented(document.Paths[pathReport]["get"], s.get(reports+"/"+id+"?format="+format, "all"))
	}
	page := s.get("/docs", "")
	g.Expect(page.body).NotTo(MatchRegexp(`(?i)<script|src=|@import|url\(|<link|<img`))
	g.Expect(page.body).To(And(ContainSubstring("remediation_ids"), ContainSubstring("as_of")))
}

// Each format is what it says, by the parameter and by Accept.
func TestFormats(t *testing.T) {
	s := start(t)
	id := s.write(remediation{})
	for accept, want := range map[string]string{
		"": "application/json", "*/*": "application/json", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "text/html; charset=utf-8", "text/markdown": "text/markdown; charset=utf-8",
		"image/*": "image/svg+xml", "application/json;q=0.5, text/html;q=0.6": "text/html; charset=utf-8", "text/*, text/html;q=0": "text/markdown; charset=utf-8",
	} {
		t.Run(accept, func(t *testing.T) {
			g := NewWithT(t)
			var headers []string
			if accept != "" {
				headers = []string{"Accept", accept}
			}
			answer := s.get(reports+"/"+id, "all", headers...)
			g.Expect(answer.status).To(Equal(http.StatusOK), answer.body)
			g.Expect(answer.header.Get("Content-Type")).To(Equal(want))
			g.Expect(s.get(reports+"/"+id+"?format=json", "all", headers...).header.Get("Content-Type")).To(Equal("application/json"))
		})
	}
	g := NewWithT(t)
	html := s.get(reports+"/"+id+"?format=html", "all")
	g.Expect(html.header.Get("Content-Security-Policy")).To(HavePrefix("default-src 'none';"))
	g.Expect(html.body).To(ContainSubstring("PodOOMKilled"))
}
