package gateway

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

const introduction = `Takes alerts from Alertmanager and creates RemediationRequests.

The answer is 200 if every alert is done with: its request is created or open, or there is a reason why it makes none. With 503 Alertmanager sends the alerts again; no request is created twice.`

var refusals = []httpapi.Refusal{
	{Status: http.StatusBadRequest, Description: "The body is no message of Alertmanager, or is incomplete."},
	{Status: http.StatusUnauthorized, Description: "The token is missing or wrong.", Header: "WWW-Authenticate"},
	{Status: http.StatusRequestEntityTooLarge, Description: "The body is too large."},
	{Status: http.StatusUnsupportedMediaType, Description: "The body is not application/json, or compressed with something else than gzip."},
	{Status: http.StatusUnprocessableEntity, Description: "The message has another version than 4."},
	{Status: http.StatusInternalServerError, Description: "Internal error. Send the message again."},
}

const example = `{"version":"4","receiver":"holdfast","status":"firing","truncatedAlerts":0,"alerts":[{"status":"firing",` +
	`"labels":{"alertname":"KubePodCrashLooping","severity":"warning","namespace":"shop","pod":"cart-6d4cf56db6-x2x7p"},"annotations":{"summary":"cart crashes"},` +
	`"startsAt":"2026-11-23T04:05:06.789Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"3f0c1b2a4d5e6f70"}]}`

// newDocument describes the service in OpenAPI 3.1.
func newDocument(l Limits) *huma.OpenAPI {
	o := httpapi.NewDocument("Holdfast gateway", apiVersion, introduction, refusals)
	o.Tags = []*huma.Tag{{Name: "alerts", Description: "Post alerts."}, {Name: "service", Description: "About the service itself."}}
	o.Components.SecuritySchemes["token"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer", Description: "A token of the gateway's token file."}
	text, whole := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger, Minimum: ptr.To(0.0)}
	texts := &huma.Schema{Type: huma.TypeObject, AdditionalProperties: text}
	results := make([]any, len(outcomes))
	for i, result := range outcomes {
		results[i] = result
	}
	object := func(required []string, properties map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, Required: required, Properties: properties}
	}
	answer := object([]string{"alerts"}, map[string]*huma.Schema{
		"alerts": {Type: huma.TypeArray, Items: object([]string{"result"}, map[string]*huma.Schema{
			"alert": text, "namespace": text, "request": text, "detail": text, "result": {Type: huma.TypeString, Enum: results},
		}), Description: "What became of each alert, in the order of the message."},
		"truncatedAlerts": whole,
	})
	responses := map[string]*huma.Response{
		"200": httpapi.Answer("Every alert is done with.", "application/json", answer, ""),
		"503": httpapi.Answer("What became of an alert is not known (result again), or there is too much to do. Send the message again.", "application/json", answer, "Retry-After"),
	}
	httpapi.Refuse(responses, refusals...)
	o.AddOperation(&huma.Operation{
		Method: http.MethodPost, Path: Path, OperationID: "alertmanager", Tags: []string{"alerts"}, Summary: "Take a message of Alertmanager's webhook",
		Description: fmt.Sprintf("At most %d bytes. Alerts that do not fire make no request.", l.BodyBytes),
		Security:    []map[string][]string{{"token": {}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {
			Schema: object([]string{"version", "alerts"}, map[string]*huma.Schema{
				"version": {Type: huma.TypeString, Enum: []any{payloadVersion}}, "truncatedAlerts": whole,
				"alerts": {Type: huma.TypeArray, Items: object([]string{"status", "labels", "startsAt"}, map[string]*huma.Schema{
					"status": {Type: huma.TypeString, Enum: []any{firing, resolved}}, "labels": texts, "annotations": texts,
					"startsAt": {Type: huma.TypeString, Format: "date-time"}, "generatorURL": text, "fingerprint": text,
				})},
			}),
			Examples: map[string]*huma.Example{"crash": {Summary: "a pod that crashes", Value: json.RawMessage(example)}},
		}}},
		Responses: responses,
	})
	httpapi.AddServiceOperations(o, "alerts can be taken", "The requests of the cluster are not known yet, or the gateway is stopping.")
	return o
}

// commandLine calls an operation from a shell.
func commandLine(op *huma.Operation) string {
	if op.Method != http.MethodPost {
		return ""
	}
	return `curl -H "Authorization: Bearer $(cat TOKEN_FILE)" -H 'Content-Type: application/json' --data @message.json "$HOLDFAST_GATEWAY_URL` + op.Path + `"`
}

// expected says in words what a schema takes.
func expected(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		return fmt.Sprintf("one of %v", s.Enum)
	case s.Format == "date-time":
		return "a time in RFC 3339"
	case s.Type == huma.TypeString:
		return "a text"
	case s.Type == huma.TypeInteger:
		return "a number"
	case s.Type == huma.TypeArray:
		return "a list"
	}
	return "an object"
}
