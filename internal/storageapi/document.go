package storageapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"k8s.io/utils/ptr"
)

// apiVersion is that of the interface, not of the program.
const apiVersion = "1.0.0"

const (
	schemaPrefix   = "#/components/schemas/"
	responsePrefix = "#/components/responses/"
)

const introduction = `Stores audit records of programs that have no outbox. Each request is one transaction: all records are stored, or none. The answer is sent after COMMIT.

Give each record an id. After 408, 429, 500, 503 or a lost connection, send the request again: the same record with the same id is stored once.

Records cannot be read with this API.`

// refusal is an answer that any post may have.
type refusal struct {
	status               int
	description, headers string
}

var refusals = []refusal{
	{http.StatusBadRequest, "The body is not JSON, or is incomplete.", ""},
	{http.StatusUnauthorized, "The token is missing, invalid, or not issued for the audience of this service.", "WWW-Authenticate"},
	{http.StatusForbidden, "The caller may not post records, or may not claim an origin.", ""},
	{http.StatusRequestTimeout, "The body did not arrive in time.", ""},
	{http.StatusConflict, "A different record with the same id is stored, or another entry has the same sequence.", ""},
	{http.StatusRequestEntityTooLarge, "The body is too large.", ""},
	{http.StatusUnsupportedMediaType, "The body is not application/json, or is compressed.", ""},
	{http.StatusUnprocessableEntity, "Fields are invalid. Each one is listed.", ""},
	{http.StatusTooManyRequests, "The caller sends too many requests.", "Retry-After"},
	{http.StatusInternalServerError, "Internal error. The records may or may not be stored.", ""},
	{http.StatusServiceUnavailable, "The database or the API server does not answer, or the service is overloaded.", "Retry-After"},
}

var headers = map[string]*huma.Param{
	"Retry-After":      {Description: "Seconds to wait.", Schema: &huma.Schema{Type: huma.TypeInteger, Minimum: ptr.To(1.0)}},
	"WWW-Authenticate": {Description: "Bearer.", Schema: &huma.Schema{Type: huma.TypeString}},
}

// newDocument describes the service in OpenAPI 3.1.
func newDocument(l Limits) *huma.OpenAPI {
	schemas := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	schemas.Map()["Receipt"], schemas.Map()["Problem"] = receiptSchema(), problemSchema()
	responses := map[string]*huma.Response{}
	for _, r := range refusals {
		responses[status(r)] = answer(r.description, "application/problem+json", &huma.Schema{Ref: schemaPrefix + "Problem"}, r.headers)
	}
	o := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Holdfast Data Storage API", Version: apiVersion, Description: introduction, License: &huma.License{Name: "Apache 2.0", Identifier: "Apache-2.0"}},
		Servers: []*huma.Server{{URL: "/"}},
		Tags:    []*huma.Tag{{Name: "records", Description: "Post audit records."}, {Name: "relay", Description: "For relays that drain outboxes into this service."}, {Name: "service", Description: "About the service itself."}},
		Components: &huma.Components{Schemas: schemas, Responses: responses, SecuritySchemes: map[string]*huma.SecurityScheme{
			"kubernetes": {Type: "http", Scheme: "bearer", Description: "A ServiceAccount token for the audience of the service: kubectl create token NAME --audience " + DefaultAudience + ". The account needs the permission to create auditrecords.holdfast.dev."},
			"metrics":    {Type: "http", Scheme: "bearer", Description: "A Kubernetes token whose account may get /metrics."},
		}},
	}
	for _, e := range endpoints() {
		schemas.Map()[e.name] = e.schema
		o.AddOperation(e.operationOf(l))
	}
	o.AddOperation(entriesOperation(l))
	for _, op := range serviceOperations() {
		o.AddOperation(op)
	}
	return o
}

func status(r refusal) string { return strconv.Itoa(r.status) }

func answer(description, contentType string, schema *huma.Schema, header string) *huma.Response {
	r := &huma.Response{Description: description, Content: map[string]*huma.MediaType{contentType: {Schema: schema}}}
	if header != "" {
		r.Headers = map[string]*huma.Param{header: headers[header]}
	}
	return r
}

func (e *endpoint) operationOf(l Limits) *huma.Operation {
	record, receipt := &huma.Schema{Ref: schemaPrefix + e.name}, &huma.Schema{Ref: schemaPrefix + "Receipt"}
	oneOrMore := func(s *huma.Schema) *huma.Schema {
		return &huma.Schema{OneOf: []*huma.Schema{s, {Type: huma.TypeArray, Items: s, MinItems: ptr.To(1), MaxItems: ptr.To(l.Records)}}}
	}
	examples := map[string]*huma.Example{}
	for _, x := range e.examples {
		examples[x.name] = &huma.Example{Summary: x.summary, Value: json.RawMessage(x.text)}
	}
	responses := map[string]*huma.Response{
		"201": answer("All records are stored; at least one is new.", "application/json", oneOrMore(receipt), ""),
		"200": answer("All records were already stored.", "application/json", oneOrMore(receipt), ""),
	}
	for _, r := range refusals {
		responses[status(r)] = &huma.Response{Ref: responsePrefix + status(r)}
	}
	return &huma.Operation{
		Method: http.MethodPost, Path: e.path, OperationID: e.operation, Tags: []string{"records"}, Summary: e.summary,
		Description: fmt.Sprintf("The body is one record (an object) or up to %d records (an array), at most %d bytes in total. The records become rows of %s. The answer has the same form as the body.", l.Records, l.BodyBytes, e.table),
		Security:    []map[string][]string{{"kubernetes": {}}},
		Parameters: []*huma.Param{{Name: "traceparent", In: "header", Description: "W3C trace context, stored with each record that has none. A malformed value is ignored.",
			Schema: &huma.Schema{Type: huma.TypeString}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: oneOrMore(record), Examples: examples}}},
		Responses:   responses,
	}
}

func serviceOperations() []*huma.Operation {
	text := &huma.Schema{Type: huma.TypeString}
	refused := &huma.Schema{Ref: schemaPrefix + "Problem"}
	op := func(path, id, summary, contentType string, schema *huma.Schema) *huma.Operation {
		return &huma.Operation{Method: http.MethodGet, Path: path, OperationID: id, Tags: []string{"service"}, Summary: summary, Security: []map[string][]string{},
			Responses: map[string]*huma.Response{"200": answer("OK.", contentType, schema, "")}}
	}
	ready := op("/readyz", "readyz", "Readiness: 200 if records can be stored", "text/plain", text)
	ready.Responses["503"] = answer("The database does not accept rows, or the service is stopping.", "application/problem+json", refused, "")
	scrape := op("/metrics", "metrics", "Metrics for Prometheus", "text/plain", text)
	scrape.Security = []map[string][]string{{"metrics": {}}}
	scrape.Responses["401"] = answer("The token is missing or invalid.", "text/plain", text, "WWW-Authenticate")
	scrape.Responses["403"] = answer("The caller may not get /metrics.", "text/plain", text, "")
	scrape.Responses["503"] = answer("The API server does not answer.", "text/plain", text, "Retry-After")
	return []*huma.Operation{
		op("/openapi.json", "openapi", "This document", "application/json", &huma.Schema{Type: huma.TypeObject}),
		op("/docs", "docs", "This document as a page", "text/html", text),
		op("/healthz", "healthz", "Liveness: 200 if the process serves requests", "text/plain", text), ready, scrape,
	}
}

func receiptSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"id", "status"}, Properties: map[string]*huma.Schema{
		"id":     {Type: huma.TypeString, Format: "uuid", Description: "ID of the row: the given id, or a new one."},
		"status": {Type: huma.TypeString, Enum: []any{statusStored, statusPresent}, Description: "stored: the row is new. present: the same record was already stored under this id."},
		"repaired": {Type: huma.TypeInteger, Minimum: ptr.To(1.0),
			Description: "Number of places in the record with text that a database cannot store (NUL, lone surrogates, invalid UTF-8). Each is replaced by U+FFFD. Omitted if zero."},
	}}
}

func problemSchema() *huma.Schema {
	fault := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"pointer", "detail"}, Properties: map[string]*huma.Schema{
		"pointer": {Type: huma.TypeString, Description: "JSON pointer (RFC 6901) into the body. Empty for the whole body."},
		"detail":  {Type: huma.TypeString, Description: "What is wrong and what was expected."},
	}}
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"title", "status"}, Description: "RFC 9457; the type is about:blank.", Properties: map[string]*huma.Schema{
		"title":  {Type: huma.TypeString, Description: "The HTTP status text."},
		"status": {Type: huma.TypeInteger, Description: "The HTTP status."},
		"detail": {Type: huma.TypeString, Description: "What happened, and what to do."},
		"errors": {Type: huma.TypeArray, Items: fault, Description: "All invalid fields."},
		"more":   {Type: huma.TypeInteger, Minimum: ptr.To(1.0), Description: "Number of further invalid fields that are not listed."},
	}}
}

func documentText(o *huma.OpenAPI) ([]byte, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, raw, "", "  "); err != nil {
		return nil, fmt.Errorf("write the OpenAPI document: %w", err)
	}
	text.WriteByte('\n')
	return text.Bytes(), nil
}
