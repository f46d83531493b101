package rar_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	. "github.com/onsi/gomega"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/rar"
)

// hostile are texts that try to be more than text.
var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</td></tr></table><h1>Approved</h1>`, `<!--`, `]]>`, `</style><style>*{display:none}</style>`, `</svg><iframe src=//x>`, `{{.Report}}`, `&lt;b&gt;`,
	"# heading", "## Approved by everybody", "[click](https://evil.example)", "![x](https://evil.example/x.png)", "https://evil.example", "www.evil.example", "<https://evil.example>", "a | b | c", "| --- |", "```\nfence", "~~~", "~~gone~~",
	"**bold** __x__ *y*", "- item\n- item", "1. one\n2. two", "7) x", "+ x", "> quote", "===", "---", "    code", "line\r\nline\n\nline", "[ref]: https://evil.example", "a\\", "\\",
	"`", "``", "`|`", "$x$", "@everyone please", "<b>", "&amp;", "[x]",
	"\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x00\x01\x7f\u0085\u009b31m", "\u202egnp.exe", "\u2066\u2069\u200f", "\u200b\ufeff", "\u2028\u2029",
	"bad \xff\xfe utf8", "\xed\xa0\x80", strings.Repeat("A", 5000), strings.Repeat("字", 400), "", " ", "\t",
	"javascript:alert(1)", "mailto:x@evil.example", "' onmouseover='x", "%s%n%d", "{{F1}}", "{{outcome}}", "e\u0301\u0301\u0301", "👩‍👩‍👧", "العربية",
}

func anyText() *rapid.Generator[string] {
	return rapid.OneOf(rapid.SampledFrom(hostile), rapid.SampledFrom(hostile), rapid.String(), rapid.SampledFrom([]string{"remediated", "failed", "approved", "rejected", "success", "pre", "post", "Outcome", "cart"}))
}

// anyTime is mostly of one hour, so that times fall together, and contradict each other.
func anyTime() *rapid.Generator[outboxapi.Time] {
	return rapid.Custom(func(t *rapid.T) outboxapi.Time {
		if rapid.IntRange(0, 19).Draw(t, "far") == 0 {
			return outboxapi.NewTime(time.Date(rapid.IntRange(1, 9999).Draw(t, "year"), 1, 1, 0, 0, 0, 1000, time.UTC))
		}
		return outboxapi.NewTime(at("10:00:00").Add(time.Duration(rapid.Int64Range(-1e6, 3.6e9).Draw(t, "µs")) * time.Microsecond))
	})
}

// fill sets every field of a record to something of its type.
func fill(t *rapid.T, v reflect.Value) {
	if v.Type() == reflect.TypeFor[outboxapi.Time]() {
		v.Set(reflect.ValueOf(anyTime().Draw(t, "time")))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes([]byte(rapid.StringN(0, 8, 32).Draw(t, "bytes")))
			return
		}
		n := rapid.IntRange(0, 3).Draw(t, "length")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 2).Draw(t, "size") {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(t, value)
			v.SetMapIndex(reflect.ValueOf(anyText().Draw(t, "key")), value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString(anyText().Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(rapid.OneOf(rapid.Int64Range(-2, 400), rapid.Just(int64(1)<<31-1)).Draw(t, "int"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(-10, 110).Draw(t, "float"))
	}
}

// anyInput is whatever rows somebody may have written under one id: half of them of the remediation's own resources.
func anyInput() *rapid.Generator[*rar.Input] {
	return rapid.Custom(func(t *rapid.T) *rar.Input {
		in := &rar.Input{RemediationID: uid(1), AsOf: anyTime().Draw(t, "as of").Time}
		uids := []string{uid(1), uid(1), uid(2), uid(3), uid(4), uid(5), ""}
		for i := range rapid.IntRange(0, 8).Draw(t, "rows") {
			row := rapid.SampledFrom([]func() models.Row{
				func() models.Row { return &models.OrchestrationRow{} }, func() models.Row { return &models.AIDecisionRow{} }, func() models.Row { return &models.ExecutionRow{} },
				func() models.Row { return &models.NotificationRow{} },
			}).Draw(t, "table")()
			fill(t, reflect.ValueOf(row).Elem())
			if o, ok := row.(*models.OrchestrationRow); ok && rapid.Bool().Draw(t, "children") {
				o.Children = []models.Child{child("AIAnalysis", anyText().Draw(t, "name"), 2), child("WorkflowExecution", "w", 3), child("Notification", "n", 4)}
			}
			h := row.Head()
			h.ID, h.SourceUID, h.Sequence = uid(100+i), rapid.SampledFrom(uids).Draw(t, "uid"), rapid.Int64Range(-1, 6).Draw(t, "sequence")
			in.Rows = append(in.Rows, row)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "letters") {
			d := models.DeadLetter{}
			fill(t, reflect.ValueOf(&d).Elem())
			d.ID, d.SourceUID = uid(200+i), rapid.SampledFrom(uids).Draw(t, "uid")
			in.DeadLetters = append(in.DeadLetters, d)
		}
		fill(t, reflect.ValueOf(&in.Recurrences).Elem())
		fill(t, reflect.ValueOf(&in.Cohort).Elem())
		fill(t, reflect.ValueOf(&in.Others).Elem())
		fill(t, reflect.ValueOf(&in.Deliveries).Elem())
		fill(t, reflect.ValueOf(&in.Earlier).Elem())
		fill(t, reflect.ValueOf(&in.Later).Elem())
		if c := in.Cohort; c != nil { // the database counts
			c.N, c.Success, c.NotSlower = 7, 5, 3
		}
		return in
	})
}

func TestAnyHistoryGivesAReport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		r := rar.Build(anyInput().Draw(t, "input"))

		shares := 0.0
		for _, s := range r.Timeline.Spans {
			if s.Seconds != nil {
				g.Expect(*s.Seconds).To(BeNumerically(">=", 0), s.Name)
			}
			g.Expect(s.End == nil).To(Equal(s.Seconds == nil), "an open span has no length")
			if s.Share != nil {
				shares += *s.Share
			}
		}
		g.Expect(shares).To(BeNumerically("<=", 1+1e-9))
		if n := r.Bottleneck; n != nil {
			shares = 0
			for _, p := range n.Breakdown {
				shares += p.Share
			}
			g.Expect(shares).To(BeNumerically("<=", 1+1e-9))
		}
		g.Expect(len(r.Recommendations)).To(BeNumerically("<=", 5))

		known := map[string]bool{}
		for _, e := range r.Evidence {
			g.Expect(known[e.Ref]).To(BeFalse())
			known[e.Ref] = true
		}
		refs(reflect.ValueOf(r).Elem(), func(ref string) { g.Expect(known[ref]).To(BeTrue(), ref) })

		for _, format := range rar.Formats() {
			shown := render2(t, r, format)
			g.Expect(shown).To(Equal(render2(t, r, format)))
			if format == rar.FormatJSON {
				var back map[string]any
				g.Expect(json.Unmarshal([]byte(shown), &back)).To(Succeed())
				g.Expect(shown).NotTo(ContainSubstring(": null,\n  \"rows"))
				continue
			}
			for _, c := range shown { // nothing reaches a terminal or turns a line around
				g.Expect(c == '\n' || c == '\t' || c == '\u200c' || c == '\u200d' || !unicode.In(c, unicode.Cc, unicode.Cf)).To(BeTrue(), "%s has %U", format, c)
			}
			g.Expect(len(shown)).To(BeNumerically("<", 4<<20))
		}
	})
}

func render2(t interface{ Fatal(...any) }, r *rar.Report, format string) string {
	var b strings.Builder
	if err := rar.Render(&b, r, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// refs visits every ref of a report: the members refs, verdict_refs and evidence of compliance.
func refs(v reflect.Value, visit func(string)) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			refs(v.Elem(), visit)
		}
	case reflect.Slice:
		for i := range v.Len() {
			refs(v.Index(i), visit)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[outboxapi.Time]() {
			return
		}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if list, ok := v.Field(i).Interface().([]string); ok && (strings.HasSuffix(f.Name, "Refs") || f.Name == "Evidence") {
				for _, ref := range list {
					visit(ref)
				}
				continue
			}
			refs(v.Field(i), visit)
		}
	}
}

// short are those that no row of a table cuts: what follows them stays.
var short = slices.DeleteFunc(slices.Clone(hostile), func(text string) bool { return len(text) > 40 })

// Hostile texts in every field change no element of the page or of the drawing, and no block, link or cell of the Markdown.
func TestHostileTextsAreText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		in := anyInput().Draw(t, "input")
		r := rar.Build(in)
		replaced := func(with func(string) string) *rar.Report {
			c := rar.Report{}
			copied, _ := json.Marshal(r)
			g.Expect(json.Unmarshal(copied, &c)).To(Succeed())
			texts(reflect.ValueOf(&c).Elem(), with)
			return &c
		}
		// A text is replaced by the same each time: equal names are one row of a chart.
		number, evil := map[string]string{}, map[string]string{}
		plain := replaced(func(text string) string {
			if number[text] == "" {
				number[text] = fmt.Sprintf("plain %d", len(number))
			}
			return number[text]
		})
		bad := replaced(func(text string) string {
			if evil[text] == "" {
				evil[text] = rapid.SampledFrom(short).Draw(t, "hostile") + " " + number[text]
			}
			return evil[text]
		})

		for _, format := range []string{rar.FormatHTML, rar.FormatSVG} {
			g.Expect(elements(t, render2(t, bad, format))).To(Equal(elements(t, render2(t, plain, format))), format)
		}
		want, got := blocks(render2(t, plain, rar.FormatMarkdown)), blocks(render2(t, bad, rar.FormatMarkdown))
		g.Expect(got).To(Equal(want), "Markdown")
	})
}

// A row that was posted may have any outcome: it is text in the heading, too.
func TestAnUnknownOutcomeIsText(t *testing.T) {
	headings := func(outcome string) []string {
		r := rar.Report{Summary: rar.Summary{Outcome: outcome, Alert: "a `b` c"}}
		return blocks(render2(t, &r, rar.FormatMarkdown))
	}
	for _, outcome := range short {
		NewWithT(t).Expect(headings(outcome+" x")).To(Equal(headings("x")), outcome)
	}
}

// texts replaces what comes from rows. Words of ours decide on the structure, so they stay.
func texts(v reflect.Value, with func(string) string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			texts(v.Elem(), with)
		}
	case reflect.Slice:
		for i := range v.Len() {
			texts(v.Index(i), with)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[outboxapi.Time]() || v.Type() == reflect.TypeFor[rar.Evidence]() {
			return
		}
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			switch name {
			case "Lane", "Status", "State", "Verdict", "Held", "Kind", "Origin", "Phase", "Table", "Refs", "VerdictRefs", "Facts", "Stage", "Outcome", "Section", "ID", "Provenance", "Query", "EntryHash", "Template":
				continue
			case "Evidence":
				if v.Field(i).Type() == reflect.TypeFor[[]string]() {
					continue
				}
			}
			texts(v.Field(i), with)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) }) // or the same seed would draw others
		for _, k := range keys {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(k))
			if value.Kind() == reflect.String && value.String() == "" {
				value.SetString("none") // the names sort otherwise when they are replaced, and an empty value is shown otherwise
			}
			texts(value, with)
			v.SetMapIndex(k, reflect.Value{})
			v.SetMapIndex(reflect.ValueOf(with(k.String())), value)
		}
	case reflect.String:
		if v.String() != "" {
			v.SetString(with(v.String()))
		}
	}
}

// elements are the tags of a page with their attributes' names, and the values of those that load or link.
func elements(t *rapid.T, page string) []string {
	var all []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return all
		case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
			token := z.Token()
			tag := token.Type.String() + token.Data
			for _, a := range token.Attr {
				tag += " " + a.Key
				if slices.Contains([]string{"href", "src", "style", "class", "id", "content"}, a.Key) {
					tag += "=" + a.Val
				}
			}
			all = append(all, tag)
		case html.CommentToken:
			t.Fatalf("a comment: %s", z.Token())
		}
	}
}

// blocks are the nodes of a Markdown document but texts, and how many lines or cells they have.
func blocks(document string) []string {
	var all []string
	source := []byte(document)
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		switch n.Kind() {
		case ast.KindText, ast.KindString:
			return ast.WalkContinue, nil
		}
		if entering {
			what := n.Kind().String()
			if h, ok := n.(*ast.Heading); ok {
				what += fmt.Sprint(h.Level)
			}
			all = append(all, what)
		}
		return ast.WalkContinue, nil
	})
	return all
}
