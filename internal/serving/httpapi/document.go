package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"k8s.io/utils/ptr"
)

// Where an OpenAPI document has what operations refer to.
const (
	SchemaPrefix   = "#/components/schemas/"
	ResponsePrefix = "#/components/responses/"
)

// Refusal is an answer that is a Problem. Header is one that it has, "" if none.
type Refusal struct {
	Status              int
	Description, Header string
}

// Code is the status as the document names it.
func (r Refusal) Code() string { return strconv.Itoa(r.Status) }

var headers = map[string]*huma.Param{
	"Retry-After":      {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: ptr.To(1.0)}},
	"WWW-Authenticate": {Description: "Bearer.", Schema: &huma.Schema{Type: huma.TypeString}},
	"Location":         {Description: "Where it is.", Schema: &huma.Schema{Type: huma.TypeString}},
	"ETag":             {Description: "Names the content, for If-None-Match.", Schema: &huma.Schema{Type: huma.TypeString}},
}

// NewDocument begins an OpenAPI 3.1 document with the schema of problems, the refusals, and the scheme of the token for /metrics.
func NewDocument(title, version, description string, refusals []Refusal) *huma.OpenAPI {
	schemas := huma.NewMapRegistry(SchemaPrefix, huma.DefaultSchemaNamer)
	schemas.Map()["Problem"] = problemSchema()
	responses := map[string]*huma.Response{}
	for _, r := range refusals {
		responses[r.Code()] = Answer(r.Description, ProblemType, &huma.Schema{Ref: SchemaPrefix + "Problem"}, r.Header)
	}
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: title, Version: version, Description: description, License: &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}},
		Servers: []*huma.Server{{URL: "/"}},
		Components: &huma.Components{Schemas: schemas, Responses: responses, SecuritySchemes: map[string]*huma.SecurityScheme{
			"metrics": {Type: "http", Scheme: "bearer", Description: "A Kubernetes token whose account may get /metrics."},
		}},
	}
}

// Refuse adds refusals of the document to an operation's responses.
func Refuse(responses map[string]*huma.Response, refusals ...Refusal) {
	for _, r := range refusals {
		responses[r.Code()] = &huma.Response{Ref: ResponsePrefix + r.Code()}
	}
}

// Answer describes a response with a body. header is one that it has, "" if none.
func Answer(description, contentType string, schema *huma.Schema, header string) *huma.Response {
	r := &huma.Response{Description: description, Content: map[string]*huma.MediaType{contentType: {Schema: schema}}}
	if header != "" {
		r.Headers = map[string]*huma.Param{header: headers[header]}
	}
	return r
}

// AddServiceOperations describes what every service has. ready says what it is ready for, as in "records can be stored", notReady when it is not.
func AddServiceOperations(o *huma.OpenAPI, ready, notReady string) {
	text := &huma.Schema{Type: huma.TypeString}
	refused := &huma.Schema{Ref: SchemaPrefix + "Problem"}
	add := func(path, id, summary, contentType string, schema *huma.Schema) *huma.Operation {
		op := &huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Tags: []string{"service"}, Summary: summary, Security: []map[string][]string{},
			Responses: map[string]*huma.Response{"200": Answer("OK.", contentType, schema, "")}}
		o.AddOperation(op)
		return op
	}
	add("/openapi.json", "openapi", "This document", "application/json", &huma.Schema{Type: huma.TypeObject})
	add("/docs", "docs", "This document as a page", "text/html", text)
	add("/healthz", "healthz", "Liveness: 200 if the process serves requests", "text/plain", text)
	add("/readyz", "readyz", "Readiness: 200 if "+ready, "text/plain", text).Responses["503"] = Answer(notReady, ProblemType, refused, "")
	scrape := add("/metrics", "metrics", "Metrics for Prometheus", "text/plain", text)
	scrape.Security = []map[string][]string{{"metrics": {}}}
	scrape.Responses["401"] = Answer("The token is missing or invalid.", "text/plain", text, "WWW-Authenticate")
	scrape.Responses["403"] = Answer("The caller may not get /metrics.", "text/plain", text, "")
	scrape.Responses["503"] = Answer("The API server does not answer.", "text/plain", text, "Retry-After")
}

func problemSchema() *huma.Schema {
	object := func(required []string, properties map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: required, Properties: properties}
	}
	fault := object([]string{"pointer", "detail"}, map[string]*huma.Schema{
		"pointer": {Type: huma.TypeString, Description: "JSON pointer (RFC 6901) into the body. Empty for the whole body."},
		"detail":  {Type: huma.TypeString, Description: "What is wrong and what was expected."},
	})
	parameter := object([]string{"name", "detail"}, map[string]*huma.Schema{
		"name":   {Type: huma.TypeString, Description: "Name of the parameter."},
		"detail": {Type: huma.TypeString, Description: "What is wrong and what was expected."},
	})
	s := object([]string{"title", "status"}, map[string]*huma.Schema{
		"title":      {Type: huma.TypeString, Description: "The HTTP status text."},
		"status":     {Type: huma.TypeInteger, Description: "The HTTP status."},
		"detail":     {Type: huma.TypeString, Description: "What happened, and what to do."},
		"parameters": {Type: huma.TypeArray, Items: parameter, Description: "All invalid parameters of path and query."},
		"errors":     {Type: huma.TypeArray, Items: fault, Description: "All invalid fields."},
		"more":       {Type: huma.TypeInteger, Minimum: ptr.To(1.0), Description: "Number of further invalid fields that are not listed."},
	})
	s.Description = "RFC 9457; the type is about:blank."
	return s
}

// DocumentRoutes serve a document, as JSON and as a page. call is how an operation is called, a command line or ""; expected says in words what a schema takes.
func DocumentRoutes(o *huma.OpenAPI, call func(*huma.Operation) string, expected func(*huma.Schema) string) (map[string]Route, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	text.WriteByte('\n')
	page, err := (&pageWriter{document: o, call: call, expected: expected}).page()
	if err != nil {
		return nil, err
	}
	return map[string]Route{
		"/openapi.json": {Get: Static("application/json", text.Bytes())},
		"/docs":         {Get: Static("text/html; charset=utf-8", page)},
	}, nil
}
