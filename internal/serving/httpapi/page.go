package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// pageTemplate is the document for people: one file that loads nothing.
var pageTemplate = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>{{.Title}}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c2733;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-top:1px solid #d5dce3;padding-top:1.5rem}code,pre{font:13px/1.45 ui-monospace,monospace}h2 code{font-size:1.05rem;overflow-wrap:anywhere}
pre{background:#f3f6f9;padding:.8rem;overflow:auto;border-radius:4px}.t{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:14px}.n{white-space:nowrap}
td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;border-bottom:1px solid #e5eaef}.m{background:#1c5d99;color:#fff;border-radius:3px;padding:.1rem .4rem;margin-right:.5rem}
.r{color:#a32d2d}summary{cursor:pointer;margin:.6rem 0}
@media(prefers-color-scheme:dark){body{color:#dbe4ec;background:#141a20}pre{background:#1e262e}td,th,h2{border-color:#323d48}.r{color:#ff9b9b}a{color:#8fc3f5}}
</style></head><body>
<h1>{{.Title}} <small>{{.Version}}</small></h1>
{{range .Introduction}}<p>{{.}}</p>{{end}}
<p>OpenAPI document: <a href="/openapi.json"><code>/openapi.json</code></a></p>
<ul>{{range .Operations}}<li><a href="#{{.ID}}"><code>{{.Method}} {{.Path}}</code></a> {{.Summary}}</li>{{end}}</ul>
{{range .Operations}}
<h2 id="{{.ID}}"><code><span class="m">{{.Method}}</span>{{.Path}}</code></h2>
<p>{{.Summary}}. {{.Description}}</p>
{{with .Call}}<pre>{{.}}</pre>{{end}}
{{with .Parameters}}<div class="t"><table><tr><th>parameter</th><th>type</th><th></th></tr>
{{range .}}<tr><td class="n"><code>{{.Name}}</code>{{if .Required}} <span class="r">required</span>{{end}}</td><td>{{.Type}}</td><td>{{.Description}}</td></tr>{{end}}
</table></div>{{end}}
{{with .Fields}}<details open><summary>Fields</summary><div class="t"><table><tr><th>name</th><th>type</th><th></th></tr>
{{range .}}<tr><td class="n"><code>{{.Name}}</code>{{if .Required}} <span class="r">required</span>{{end}}</td><td>{{.Type}}</td><td>{{.Description}}</td></tr>{{end}}
</table></div></details>{{end}}
{{range .Examples}}<details><summary>{{.Summary}}</summary><pre>{{.Text}}</pre></details>{{end}}
<details><summary>Answers</summary><table>{{range .Answers}}<tr><td><code>{{.Status}}</code></td><td>{{.Description}}</td></tr>{{end}}</table></details>
{{end}}</body></html>
`))

type pageOperation struct {
	ID, Method, Path, Summary, Description, Call string
	Parameters, Fields                           []pageField
	Examples                                     []pageExample
	Answers                                      []pageAnswer
}

type pageField struct {
	Name, Type, Description string
	Required                bool
}

type (
	pageExample struct{ Summary, Text string }
	pageAnswer  struct{ Status, Description string }
)

// pageWriter makes the page of a document.
type pageWriter struct {
	document *huma.OpenAPI
	call     func(*huma.Operation) string
	expected func(*huma.Schema) string
}

func (w *pageWriter) page() ([]byte, error) {
	o := w.document
	data := struct {
		Title, Version string
		Introduction   []string
		Operations     []pageOperation
	}{o.Info.Title, o.Info.Version, strings.Split(o.Info.Description, "\n\n"), nil}
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		item := o.Paths[path]
		for _, op := range []*huma.Operation{item.Post, item.Get, item.Delete} {
			if op != nil {
				data.Operations = append(data.Operations, w.operation(op))
			}
		}
	}
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, data); err != nil {
		return nil, fmt.Errorf("write the page: %w", err)
	}
	return text.Bytes(), nil
}

func (w *pageWriter) operation(op *huma.Operation) pageOperation {
	o := w.document
	p := pageOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description, Call: w.call(op)}
	for _, param := range op.Parameters {
		if param.In != "header" {
			p.Parameters = append(p.Parameters, pageField{Name: param.Name, Type: w.expected(param.Schema), Description: param.Description, Required: param.Required})
		}
	}
	if op.Method == http.MethodPost {
		media := op.RequestBody.Content["application/json"]
		body := media.Schema
		if len(body.OneOf) > 0 { // a record, or an array of them
			body = o.Components.Schemas.SchemaFromRef(body.OneOf[0].Ref)
		}
		if body.Ref != "" {
			body = o.Components.Schemas.SchemaFromRef(body.Ref)
		}
		p.Fields = w.fields("", body)
		for _, name := range slices.Sorted(maps.Keys(media.Examples)) {
			var text bytes.Buffer
			_ = json.Indent(&text, media.Examples[name].Value.(json.RawMessage), "", "  ") // valid: the tests send it
			p.Examples = append(p.Examples, pageExample{Summary: "Example: " + media.Examples[name].Summary, Text: text.String()})
		}
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		if r.Ref != "" {
			r = o.Components.Responses[status]
		}
		p.Answers = append(p.Answers, pageAnswer{Status: status, Description: r.Description})
	}
	return p
}

// fields lists an object's fields and, indented by their full names, those within. Required ones come first.
func (w *pageWriter) fields(prefix string, s *huma.Schema) []pageField {
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(slices.Contains(s.Required, a)) - rank(slices.Contains(s.Required, b))
	})
	var all []pageField
	for _, name := range names {
		f := s.Properties[name]
		all = append(all, pageField{Name: prefix + name, Type: w.expected(f), Description: f.Description, Required: slices.Contains(s.Required, name)})
		switch {
		case f.Type == huma.TypeObject:
			all = append(all, w.fields(prefix+name+".", f)...)
		case f.Type == huma.TypeArray && f.Items.Type == huma.TypeObject:
			all = append(all, w.fields(prefix+name+"[].", f.Items)...)
		}
	}
	return all
}

func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}
