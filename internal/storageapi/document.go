package storageapi

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// apiVersion is that of the interface, not of the program.
const apiVersion = "1.0.0"

const introduction = `Stores audit records of programs that have no outbox. Each request is one transaction: all records are stored, or none. The answer is sent after COMMIT.

Give each record an id. After 408, 429, 500, 503 or a lost connection, send the request again: the same record with the same id is stored once.

Records cannot be read with this API.`

// refusals are those that any post may have.
var refusals = []httpapi.Refusal{
	{Status: http.StatusBadRequest, Description: "The body is not JSON, or is incomplete."},
	{Status: http.StatusUnauthorized, Description: "The token is missing, invalid, or not issued for the audience of this service.", Header: "WWW-Authenticate"},
	{Status: http.StatusForbidden, Description: "The caller may not post records, or may not claim an origin."},
	{Status: http.StatusRequestTimeout, Description: "The body did not arrive in time."},
	{Status: http.StatusConflict, Description: "A different record with the same id is stored, or another entry has the same sequence."},
	{Status: http.StatusRequestEntityTooLarge, Description: "The body is too large."},
	{Status: http.StatusUnsupportedMediaType, Description: "The body is not application/json, or is compressed."},
	{Status: http.StatusUnprocessableEntity, Description: "Fields are invalid. Each one is listed."},
	{Status: http.StatusTooManyRequests, Description: "The caller sends too many requests.", Header: "Retry-After"},
	{Status: http.StatusInternalServerError, Description: "Internal error. The records may or may not be stored."},
	{Status: http.StatusServiceUnavailable, Description: "The database or the API server does not answer, or the service is overloaded.", Header: "Retry-After"},
}

// newDocument describes the service in OpenAPI 3.1.
func newDocument(l Limits) *huma.OpenAPI {
	o := httpapi.NewDocument("Holdfast Data Storage API", apiVersion, introduction, refusals)
	o.Tags = []*huma.Tag{{Name: "records", Description: "Post audit records."}, {Name: "relay", Description: "For relays that drain outboxes into this service."}, {Name: "service", Description: "About the service itself."}}
	o.Components.SecuritySchemes["kubernetes"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer",
		Description: "A ServiceAccount token for the audience of the service: kubectl create token NAME --audience " + DefaultAudience + ". The account needs the permission to create auditrecords.holdfast.dev."}
	schemas := o.Components.Schemas.Map()
	schemas["Receipt"] = receiptSchema()
	for _, e := range endpoints() {
		schemas[e.name] = e.schema
		o.AddOperation(e.operationOf(l))
	}
	o.AddOperation(entriesOperation(l))
	httpapi.AddServiceOperations(o, "records can be stored", "The database does not accept rows, or the service is stopping.")
	return o
}

func (e *endpoint) operationOf(l Limits) *huma.Operation {
	record, receipt := &huma.Schema{Ref: httpapi.SchemaPrefix + e.name}, &huma.Schema{Ref: httpapi.SchemaPrefix + "Receipt"}
	oneOrMore := func(s *huma.Schema) *huma.Schema {
		return &huma.Schema{OneOf: []*huma.Schema{s, {Type: huma.TypeArray, Items: s, MinItems: ptr.To(1), MaxItems: ptr.To(l.Records)}}}
	}
	examples := map[string]*huma.Example{}
	for _, x := range e.examples {
		examples[x.name] = &huma.Example{Summary: x.summary, Value: json.RawMessage(x.text)}
	}
	responses := map[string]*huma.Response{
		"201": httpapi.Answer("All records are stored; at least one is new.", "application/json", oneOrMore(receipt), ""),
		"200": httpapi.Answer("All records were already stored.", "application/json", oneOrMore(receipt), ""),
	}
	httpapi.Refuse(responses, refusals...)
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

func receiptSchema() *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: []string{"id", "status"}, Properties: map[string]*huma.Schema{
		"id":     {Type: huma.TypeString, Format: "uuid", Description: "ID of the row: the given id, or a new one."},
		"status": {Type: huma.TypeString, Enum: []any{statusStored, statusPresent}, Description: "stored: the row is new. present: the same record was already stored under this id."},
		"repaired": {Type: huma.TypeInteger, Minimum: ptr.To(1.0),
			Description: "Number of places in the record with text that a database cannot store (NUL, lone surrogates, invalid UTF-8). Each is replaced by U+FFFD. Omitted if zero."},
	}}
}
