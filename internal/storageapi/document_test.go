package storageapi

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata/openapi.json anew")

const golden = "testdata/openapi.json"

// The document is a promise. A change is a decision, made with `go test ./internal/storageapi -run Golden -update`.
func TestTheDocumentIsTheGoldenOne(t *testing.T) {
	g := NewWithT(t)
	got := start(t).do(http.MethodGet, "/openapi.json", "", nil)
	g.Expect(got.status).To(Equal(http.StatusOK))
	if *update {
		g.Expect(os.WriteFile(golden, []byte(got.body), 0o644)).To(Succeed())
	}
	want, err := os.ReadFile(golden)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(strings.Split(got.body, "\n")).To(Equal(strings.Split(string(want), "\n")))
}

func TestEveryFieldIsDescribed(t *testing.T) {
	g := NewWithT(t)
	var look func(at string, s *huma.Schema)
	look = func(at string, s *huma.Schema) {
		for name, f := range s.Properties {
			g.Expect(f.Description).NotTo(BeEmpty(), at+"."+name)
			look(at+"."+name, f)
			if f.Items != nil {
				look(at+"."+name, f.Items)
			}
		}
	}
	for _, e := range endpoints() {
		look(e.name, e.schema)
	}
	for name := range descriptions {
		g.Expect(usedDescriptions()).To(HaveKey(name), "describes nothing")
	}
}

func usedDescriptions() map[string]bool {
	used := map[string]bool{}
	for _, e := range endpoints() {
		for name := range e.schema.Properties {
			used[name] = true
		}
		for i := range e.record.NumField() {
			t := e.record.Field(i).Type
			for t.Kind().String() == "slice" || t.Kind().String() == "ptr" {
				t = t.Elem()
			}
			if t.Kind().String() != "struct" {
				continue
			}
			for j := range t.NumField() {
				name, _, _ := strings.Cut(t.Field(j).Tag.Get("json"), ",")
				used[t.Name()+"."+name] = true
			}
		}
	}
	return used
}

func TestThePageLoadsNothing(t *testing.T) {
	g := NewWithT(t)
	page := start(t).do(http.MethodGet, "/docs", "", nil)
	g.Expect(page.status).To(Equal(http.StatusOK))
	g.Expect(page.header.Get("Content-Security-Policy")).To(HavePrefix("default-src 'none';"))
	g.Expect(page.body).NotTo(MatchRegexp(`(?i)<script|src=|@import|url\(|<link|<img`))
	for _, e := range endpoints() {
		g.Expect(page.body).To(ContainSubstring(e.path))
	}
	for _, link := range regexp.MustCompile(`href="([^"]*)"`).FindAllStringSubmatch(page.body, -1) {
		g.Expect(link[1]).To(Or(HavePrefix("#"), Equal("/openapi.json")))
	}
	g.Expect(page.body).To(And(ContainSubstring("signal_context.labels"), ContainSubstring("steps_executed[].status"), ContainSubstring("a number from 0 to 100")))
}

// contract is the document as a client reads it: from JSON, with none of the code that made it.
type contract struct {
	t    *testing.T
	root map[string]any
}

func readContract(t *testing.T, s *service) *contract {
	t.Helper()
	c := &contract{t: t}
	NewWithT(t).Expect(json.Unmarshal([]byte(s.do(http.MethodGet, "/openapi.json", "", nil).body), &c.root)).To(Succeed())
	return c
}

func at(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

func (c *contract) resolve(v any) map[string]any {
	m, _ := v.(map[string]any)
	for m != nil && m["$ref"] != nil {
		m, _ = at(c.root, strings.Split(strings.TrimPrefix(m["$ref"].(string), "#/"), "/")...).(map[string]any)
	}
	return m
}

// fits says what of a value its schema does not allow, "" if nothing.
func (c *contract) fits(v, schema any) string {
	s := c.resolve(schema)
	if of, ok := s["oneOf"].([]any); ok {
		matches := 0
		for _, one := range of {
			if c.fits(v, one) == "" {
				matches++
			}
		}
		if matches != 1 {
			return fmt.Sprintf("%v fits %d of the alternatives", v, matches)
		}
		return ""
	}
	if s["enum"] != nil && !slices.Contains(s["enum"].([]any), v) {
		return fmt.Sprintf("%v is none of %v", v, s["enum"])
	}
	switch value := v.(type) {
	case map[string]any:
		if s["type"] != "object" {
			return fmt.Sprintf("%v is an object", v)
		}
		for _, name := range list(s["required"]) {
			if _, ok := value[name.(string)]; !ok {
				return fmt.Sprint(name, " is missing")
			}
		}
		for name, member := range value {
			known := at(s, "properties", name)
			if known == nil {
				if s["additionalProperties"] == false {
					return name + " is unknown"
				}
				continue
			}
			if wrong := c.fits(member, known); wrong != "" {
				return name + ": " + wrong
			}
		}
	case []any:
		if s["type"] != "array" {
			return fmt.Sprintf("%v is an array", v)
		}
		for _, item := range value {
			if wrong := c.fits(item, s["items"]); wrong != "" {
				return wrong
			}
		}
	case string:
		if s["type"] != "string" {
			return fmt.Sprintf("%q is a string", value)
		}
		if s["format"] == "uuid" && uuid.Validate(value) != nil {
			return fmt.Sprintf("%q is no UUID", value)
		}
	case float64:
		if s["type"] != "integer" || s["minimum"] != nil && value < s["minimum"].(float64) {
			return fmt.Sprintf("%v is not %v", value, s)
		}
	default:
		return fmt.Sprintf("%v is unexpected", v)
	}
	return ""
}

func list(v any) []any { l, _ := v.([]any); return l }

// documented holds an answer to the document.
func (c *contract) documented(method, path string, r reply) {
	c.t.Helper()
	g := NewWithT(c.t)
	answer := c.resolve(at(c.root, "paths", path, strings.ToLower(method), "responses", strconv.Itoa(r.status)))
	g.Expect(answer).NotTo(BeNil(), "%s %s answered %d, which is not documented: %s", method, path, r.status, r.body)
	kind, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	media := c.resolve(at(answer, "content", kind))
	g.Expect(media).NotTo(BeNil(), "%s %s answered %d as %s, which is not documented", method, path, r.status, kind)
	for name := range c.resolve(answer["headers"]) {
		g.Expect(r.header.Get(name)).NotTo(BeEmpty(), "%s %s answered %d without %s", method, path, r.status, name)
	}
	if strings.HasSuffix(kind, "json") && path != "/openapi.json" {
		var v any
		g.Expect(json.Unmarshal([]byte(r.body), &v)).To(Succeed())
		g.Expect(c.fits(v, media["schema"])).To(BeEmpty(), r.body)
	}
}

// posts are the paths that take records.
func (c *contract) posts() []string {
	var paths []string
	for path, item := range at(c.root, "paths").(map[string]any) {
		if slices.Contains(list(at(item, "post", "tags")), any("records")) {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

func (c *contract) record(path string) map[string]any {
	one := list(at(c.root, "paths", path, "post", "requestBody", "content", "application/json", "schema", "oneOf"))[0]
	return c.resolve(one)
}

func TestConformance(t *testing.T) {
	s := start(t)
	c := readContract(t, s)
	send := func(path, token string, body any) reply {
		raw, err := json.Marshal(body)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		answer := s.do(http.MethodPost, path, token, strings.NewReader(string(raw)))
		c.documented(http.MethodPost, path, answer)
		return answer
	}
	NewWithT(t).Expect(c.posts()).To(HaveLen(4))
	for path, item := range at(c.root, "paths").(map[string]any) {
		if at(item, "get") != nil {
			c.documented(http.MethodGet, path, s.do(http.MethodGet, path, "", nil))
		}
	}
	for _, path := range c.posts() {
		t.Run(path, func(t *testing.T) {
			g := NewWithT(t)
			for name, x := range at(c.root, "paths", path, "post", "requestBody", "content", "application/json", "examples").(map[string]any) {
				g.Expect(send(path, "poster", at(x, "value")).status).To(Equal(http.StatusCreated), name)
				again := http.StatusOK
				if name == "one" { // it has no id
					again = http.StatusCreated
				}
				g.Expect(send(path, "poster", at(x, "value")).status).To(Equal(again), name)
			}
			for token, want := range map[string]int{"": 401, "stranger": 403, "outage": 503} {
				g.Expect(send(path, token, map[string]any{}).status).To(Equal(want))
			}
			schema := c.record(path)
			base := at(c.root, "paths", path, "post", "requestBody", "content", "application/json", "examples", "one", "value").(map[string]any)
			for name := range at(schema, "properties").(map[string]any) {
				for _, wrong := range wrongFor(c.resolve(at(schema, "properties", name))) {
					record := maps.Clone(base)
					record[name] = wrong
					answer := send(path, "relayer", record)
					g.Expect(answer.status).To(Equal(http.StatusUnprocessableEntity), "%s: %v: %s", name, wrong, answer.body)
					g.Expect(answer.problem(t).pointers()).To(ContainElement(HavePrefix("/" + name)))
				}
			}
			for _, name := range list(schema["required"]) {
				record := maps.Clone(base)
				delete(record, name.(string))
				g.Expect(send(path, "poster", record).problem(t).pointers()).To(Equal([]string{"/" + name.(string)}))
			}
			record := maps.Clone(base)
			record["unknown"] = 1
			g.Expect(send(path, "poster", record).problem(t).pointers()).To(Equal([]string{"/unknown"}))
		})
	}
	s.verified()
}

// wrongFor are values that a schema does not allow.
func wrongFor(s map[string]any) []any {
	var wrong []any
	kinds := []any{s["type"]}
	if several, ok := s["type"].([]any); ok {
		kinds = several
	}
	for kind, v := range map[string]any{"string": "text", "integer": 3.5, "object": map[string]any{"x": 1}, "array": []any{map[string]any{"x": map[string]any{}}}, "boolean": true, "null": nil} {
		if kind == "string" && slices.Contains(kinds, any("string")) || kind == "boolean" && slices.Contains(kinds, any("boolean")) || kind == "null" && slices.Contains(kinds, any("null")) ||
			kind == "integer" && slices.Contains(kinds, any("number")) {
			continue
		}
		wrong = append(wrong, v)
	}
	if n, ok := s["maxLength"].(float64); ok {
		wrong = append(wrong, strings.Repeat("x", int(n)+1))
	}
	if s["minLength"] != nil {
		wrong = append(wrong, "")
	}
	if s["format"] != nil || s["pattern"] != nil {
		wrong = append(wrong, "no such thing", "")
	}
	for _, bound := range []string{"minimum", "maximum"} {
		if n, ok := s[bound].(float64); ok {
			wrong = append(wrong, map[string]float64{"minimum": n - 1, "maximum": n*2 + 1}[bound])
		}
	}
	return wrong
}

// Whatever the document allows is taken, whole and for good.
func TestWhateverTheDocumentAllowsIsStored(t *testing.T) {
	s := start(t)
	c := readContract(t, s)
	rapid.Check(t, func(r *rapid.T) {
		path := rapid.SampledFrom(c.posts()).Draw(r, "path")
		record := map[string]any{}
		schema := c.record(path)
		for _, name := range slices.Sorted(maps.Keys(at(schema, "properties").(map[string]any))) {
			field := c.resolve(at(schema, "properties", name))
			if strings.HasPrefix(field["description"].(string), "Claim: ") || name == "id" {
				continue
			}
			if slices.Contains(list(schema["required"]), any(name)) || rapid.Bool().Draw(r, name+"?") {
				record[name] = c.draw(r, name, field)
			}
		}
		id := uuid.NewString()
		record["id"] = id
		raw, err := json.Marshal(record)
		if err != nil {
			r.Fatal(err)
		}
		for _, want := range []int{http.StatusCreated, http.StatusOK} {
			if answer := s.post(path, string(raw)); answer.status != want {
				r.Fatalf("%s answered %d: %s", raw, answer.status, answer.body)
			}
		}
	})
	s.verified()
}

func (c *contract) draw(r *rapid.T, name string, s map[string]any) any {
	kind := s["type"]
	if several, ok := kind.([]any); ok {
		if rapid.IntRange(0, 9).Draw(r, name+" null") == 0 {
			return nil
		}
		kind = several[0]
	}
	switch kind {
	case "boolean":
		return rapid.Bool().Draw(r, name)
	case "integer":
		return rapid.Int64Range(int64(s["minimum"].(float64)), int64(s["maximum"].(float64))).Draw(r, name)
	case "number":
		return rapid.Float64Range(s["minimum"].(float64), s["maximum"].(float64)).Draw(r, name)
	case "array":
		n := rapid.IntRange(0, 3).Draw(r, name)
		all := []any{}
		for range n {
			all = append(all, c.draw(r, name, c.resolve(s["items"])))
		}
		return all
	case "object":
		o := map[string]any{}
		properties, _ := s["properties"].(map[string]any)
		for _, member := range slices.Sorted(maps.Keys(properties)) {
			if slices.Contains(list(s["required"]), any(member)) || rapid.Bool().Draw(r, member+"?") {
				o[member] = c.draw(r, member, c.resolve(properties[member]))
			}
		}
		if more, ok := s["additionalProperties"].(map[string]any); ok {
			o[rapid.StringMatching(`[a-z./~\\"\?0]{1,20}`).Draw(r, name)] = c.draw(r, name, more)
		}
		return o
	}
	switch {
	case s["format"] == "date-time":
		return rapid.SampledFrom([]string{"2026-11-23T04:05:06Z", "1970-01-01t00:00:00.1234567z", "2999-12-31T23:59:59+14:00", "0002-01-01T00:00:00-12:00"}).Draw(r, name)
	case s["pattern"] == eventPattern:
		return rapid.StringMatching(`[A-Z][A-Za-z0-9]{0,63}`).Draw(r, name)
	case s["pattern"] == traceparentPattern:
		return rapid.StringMatching(`00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}`).Draw(r, name)
	}
	most, least := 200, 0
	if n, ok := s["maxLength"].(float64); ok {
		most = int(n)
	}
	if n, ok := s["minLength"].(float64); ok {
		least = int(n)
	}
	return rapid.StringOfN(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune("\x00\\u0?'\"$1\U0001F525\uFFFD "))), least, most, -1).Draw(r, name)
}
