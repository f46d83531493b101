package reportsapi

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// apiVersion is that of the interface, not of the program.
const apiVersion = "2.0.0"

const introduction = `Remediation Analysis Reports, from the rows of the audit trail. Nothing is written.

A caller sees the rows of the namespaces in which they may get (of lists: list) remediationreports.holdfast.dev, and of no other: what they may not see is not there. A caller who may do so in all
namespaces sees every row, those that were posted over REST and those of deleted namespaces too.

Every answer is of one moment. A report is as of now, or of the parameter as_of; the same rows and the same as_of give the same bytes.`

var (
	badQuery     = httpapi.Refusal{Status: http.StatusBadRequest, Description: "The query or the body cannot be read."}
	noToken      = httpapi.Refusal{Status: http.StatusUnauthorized, Description: "There is no token, or not one that was made for this service.", Header: "WWW-Authenticate"}
	notThere     = httpapi.Refusal{Status: http.StatusNotFound, Description: "There is none, or none that the caller may see."}
	mayNot       = httpapi.Refusal{Status: http.StatusForbidden, Description: "The caller may not spend tokens on a narrative: it takes the verb narrate."}
	gone         = httpapi.Refusal{Status: http.StatusGone, Description: "The job is no more, or the caller's rights have changed: send the request again."}
	noFormat     = httpapi.Refusal{Status: http.StatusNotAcceptable, Description: "Accept names no format that a report comes in."}
	tooLarge     = httpapi.Refusal{Status: http.StatusRequestEntityTooLarge, Description: "The body is too large."}
	wrongType    = httpapi.Refusal{Status: http.StatusUnsupportedMediaType, Description: "The body is not application/json."}
	badParameter = httpapi.Refusal{Status: http.StatusUnprocessableEntity, Description: "Parameters or fields are not as they should be; each is named."}
	tooOften     = httpapi.Refusal{Status: http.StatusTooManyRequests, Description: "The caller sends too many requests.", Header: "Retry-After"}
	failed       = httpapi.Refusal{Status: http.StatusInternalServerError, Description: "The service failed."}
	unavailable  = httpapi.Refusal{Status: http.StatusServiceUnavailable, Description: "The database or the cluster does not answer, or the service has too much to do.", Header: "Retry-After"}

	always = []httpapi.Refusal{badQuery, noToken, badParameter, tooOften, failed, unavailable}
)

// newDocument describes the service in OpenAPI 3.1.
func newDocument() *huma.OpenAPI {
	o := httpapi.NewDocument("Holdfast Report API", apiVersion, introduction, append([]httpapi.Refusal{notThere, mayNot, gone, noFormat, tooLarge, wrongType}, always...))
	o.Tags = []*huma.Tag{{Name: "reports", Description: "Remediation Analysis Reports."}, {Name: "resources", Description: "The trail of one resource."}, {Name: "service", Description: "About the service itself."}}
	o.Components.SecuritySchemes["kubernetes"] = &huma.SecurityScheme{Type: "http", Scheme: "bearer",
		Description: "A token of a ServiceAccount, made for the service: kubectl create token NAME --audience " + DefaultAudience + "."}
	schemas := huma.NewMapRegistry(httpapi.SchemaPrefix, schemaName)
	maps.Copy(schemas.Map(), o.Components.Schemas.Map())
	o.Components.Schemas = schemas
	schemas.RegisterTypeAlias(reflect.TypeFor[outboxapi.Time](), reflect.TypeFor[time.Time]())
	schemas.RegisterTypeAlias(reflect.TypeFor[postgres.HexBytes](), reflect.TypeFor[string]())
	for _, op := range operations(schemas) {
		op.Security = []map[string][]string{{"kubernetes": {}}}
		httpapi.Refuse(op.Responses, always...)
		o.AddOperation(op)
	}
	for _, t := range []reflect.Type{reflect.TypeFor[rar.Report](), reflect.TypeFor[rar.RepairTrend](), reflect.TypeFor[rar.AIGroup]()} {
		nullable(schemas, t)
	}
	describe(schemas)
	httpapi.AddServiceOperations(o, "the audit trail can be read", "The database cannot be read, or the service is stopping.")
	return o
}

// schemaName tells the structs of records from those of reports.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if strings.HasSuffix(t.PkgPath(), "/models") {
		return "Record" + name
	}
	return name
}

// nullable says which sections of a struct can be null: a reference has no such property of its own.
func nullable(schemas huma.Registry, t reflect.Type) {
	of := schemas.Map()[schemaName(t, "")]
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if s := of.Properties[name]; f.Type.Kind() == reflect.Pointer && s != nil && s.Ref != "" {
			of.Properties[name] = &huma.Schema{AnyOf: []*huma.Schema{{Ref: s.Ref}, {Type: "null"}}}
		}
	}
}

// parameter describes one of the query. The tests send the examples.
func parameter(name, description string, s *huma.Schema, example any) *huma.Param {
	return &huma.Param{Name: name, In: "query", Description: description, Schema: s, Example: example}
}

func text() *huma.Schema {
	most := maxText
	return &huma.Schema{Type: huma.TypeString, MaxLength: &most}
}
func moment() *huma.Schema { return &huma.Schema{Type: huma.TypeString, Format: "date-time"} }
func words(all ...any) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Enum: all, Default: all[0]}
}

func count(most int) *huma.Schema {
	least, greatest := 1.0, float64(most)
	return &huma.Schema{Type: huma.TypeInteger, Minimum: &least, Maximum: &greatest}
}

// Examples of parameters.
const (
	exampleID    = "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11"
	exampleJob   = "00000000000000000000000000000000"
	exampleStart = "2026-11-01T00:00:00Z"
	exampleEnd   = "2026-12-01T00:00:00Z"
	exampleAsOf  = "2026-11-24T12:00:00Z"
)

// lookIn is of requests about one thing: what the caller may see is looked for there.
func lookIn() *huma.Param {
	return parameter("namespace", "Namespace to look in, repeatable. Required for a caller without the right in all namespaces if the cluster has many.", text(), nil)
}

func namespaceParameter(repeated string) *huma.Param {
	return parameter("namespace", "Only rows of this namespace"+repeated+".", text(), nil)
}

func reportParameters() []*huma.Param {
	return []*huma.Param{
		parameter("narrative",
			"none: without one. cached: of a model if one wrote it before, else of the rules. generate: asks a model, which takes the verb narrate; 422 where none is configured, or for a list.",
			words(narrativeCached, narrativeNone, narrativeGenerate), narrativeNone),
		parameter("as_of", "Rows that were recorded later are not looked at, and windows that end later are not over. Default: now.", moment(), exampleAsOf),
	}
}

func listParameters() []*huma.Param {
	cursor := &huma.Schema{Type: huma.TypeString}
	return append([]*huma.Param{
		{Name: "start", In: "query", Required: true, Description: "Beginning of the window.", Schema: moment(), Example: exampleStart},
		{Name: "end", In: "query", Required: true, Description: "End of the window, which is not in it.", Schema: moment(), Example: exampleEnd},
		parameter("time", "Which time lies in the window. With completed, what is open is not in the list.", words("received", "completed"), "received"),
		namespaceParameter("; repeatable"),
		parameter("outcome", "Only this outcome: remediated, no-action, rejected, failed, timed-out or cancelled.", text(), "remediated"),
		parameter("alert", "Only this alert.", text(), "PodOOMKilled"),
		parameter("workflow", "Only remediations that ran this workflow.", text(), "restart-pods"),
		parameter("q", "Only what has a name, a fingerprint or a remediation id that begins with this.", text(), "cart"),
		parameter("view", "full: whole reports. summary: a few fields of each.", words(viewFull, viewSummary), viewSummary),
		parameter("limit", fmt.Sprintf("Items of a page: %d unless given and at most %d; %d and %d with view=summary. Not for a stream.", fullPage, fullMost, summaryPage, summaryMost), count(summaryMost), 10),
		parameter("next", "The value of next of the page before, with the same parameters.", cursor, nil),
	}, reportParameters()...)
}

func object(properties map[string]*huma.Schema, required ...string) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, Properties: properties, Required: required, AdditionalProperties: false}
}

func pageOf(item *huma.Schema) *huma.Schema {
	return object(map[string]*huma.Schema{
		"items": {Type: huma.TypeArray, Items: item},
		"next":  {Type: huma.TypeString, Nullable: true, Description: "Place of the next page; null at the end."},
	}, "items", "next")
}

func operations(schemas huma.Registry) []*huma.Operation {
	of := func(t reflect.Type) *huma.Schema { return schemas.Schema(t, true, "") }
	report, summary := of(reflect.TypeFor[rar.Report]()), of(reflect.TypeFor[Item]())
	job := jobSchema(of(reflect.TypeFor[Counts]()))
	lines := &huma.Schema{Type: huma.TypeString, Description: "A JSON object a line. The last one has the counts, in a member end: a stream without it was cut."}

	one := httpapi.Answer("The report. ETag names its content: it changes with the rows, not with the instant.", "application/json", report, "ETag")
	for _, f := range formats[1:] {
		one.Content[f.contentType] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	getOne := &huma.Operation{Method: http.MethodGet, Path: pathReport, OperationID: "getReport", Tags: []string{"reports"}, Summary: "One report",
		Description: "The format is that of the parameter, else of Accept, else JSON. With If-None-Match the answer is 304 if nothing has changed.",
		Parameters: append([]*huma.Param{{Name: "remediation_id", In: "path", Required: true, Description: "Id of the remediation: the uid of its RemediationRequest.", Schema: text(), Example: exampleID},
			parameter("format", "Format of the report.", words("json", "md", "html", "svg"), "json"), lookIn()}, reportParameters()...),
		Responses: map[string]*huma.Response{"200": one, "304": {Description: "The content is the one that If-None-Match names."}}}
	httpapi.Refuse(getOne.Responses, notThere, mayNot, noFormat)

	unreadable := object(map[string]*huma.Schema{"remediation_id": {Type: huma.TypeString, Description: "Id of the remediation."}, "problem": {Ref: httpapi.SchemaPrefix + "Problem"}}, "remediation_id", "problem")
	unreadable.Description = "What stands in place of a report that cannot be made of its rows."
	page := httpapi.Answer("A page. With view=summary it has an ETag.", "application/json", pageOf(&huma.Schema{OneOf: []*huma.Schema{report, summary, unreadable}}), "ETag")
	page.Content[ndjson] = &huma.MediaType{Schema: lines}
	list := &huma.Operation{Method: http.MethodGet, Path: pathReports, OperationID: "listReports", Tags: []string{"reports"}, Summary: "Reports of a window, newest first",
		Description: "A page as JSON, or the whole window as a stream with Accept: application/x-ndjson. There is no total count.", Parameters: listParameters(),
		Responses: map[string]*huma.Response{"200": page, "304": {Description: "The page is the one that If-None-Match names."}}}

	batch := &huma.Operation{Method: http.MethodPost, Path: pathBatch, OperationID: "batchReports", Tags: []string{"reports"}, Summary: "Reports of many remediations",
		Description: fmt.Sprintf("Of up to %d ids, or of a window. A line each: {id, status, report or problem}. It takes the right to list. With narrative=generate it takes the right to narrate, and the answer is a job.", maxBatch),
		Parameters:  []*huma.Param{namespaceParameter("; repeatable. With remediation_ids: namespace to look in")},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: batchSchema(), Examples: map[string]*huma.Example{
			"ids":    {Summary: "Some ids", Value: rawJSON(`{"remediation_ids": ["` + exampleID + `"], "narrative": "none"}`)},
			"window": {Summary: "A window", Value: rawJSON(`{"start": "` + exampleStart + `", "end": "` + exampleEnd + `", "outcome": "remediated"}`)},
		}}}},
		Responses: map[string]*huma.Response{"200": httpapi.Answer("A line for each remediation.", ndjson, lines, "")}}
	batch.Responses["202"] = httpapi.Answer("With narrative=generate: the job, which Location names. The same request again is the same job.", "application/json", job, "Location")
	httpapi.Refuse(batch.Responses, mayNot, tooLarge, wrongType)

	cursor := &huma.Schema{Type: huma.TypeString}
	entries := &huma.Operation{Method: http.MethodGet, Path: pathEntries, OperationID: "listEntries", Tags: []string{"resources"}, Summary: "The entries of one resource, of any kind, with their texts",
		Description: "In the order of their sequence. Entries that could not become rows are among them, with the table audit_dead_letter.",
		Parameters: []*huma.Param{{Name: "uid", In: "path", Required: true, Description: "The resource's uid.", Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"}, Example: exampleID},
			lookIn(), parameter("limit", fmt.Sprintf("Items of a page, %d unless given.", entriesPage), count(entriesMost), 10), parameter("next", "The value of next of the page before.", cursor, nil)},
		Responses: map[string]*huma.Response{"200": httpapi.Answer("A page.", "application/json", pageOf(of(reflect.TypeFor[postgres.Entry]())), "")}}
	httpapi.Refuse(entries.Responses, notThere)

	resources := &huma.Operation{Method: http.MethodGet, Path: pathResources, OperationID: "listResources", Tags: []string{"resources"}, Summary: "The uids that a name has had, newest first",
		Description: "A name comes again; a uid does not.",
		Parameters: []*huma.Param{{Name: "name", In: "query", Required: true, Description: "The resource's name.", Schema: text(), Example: "cart"},
			parameter("kind", "Kind of the resource, as in RemediationRequest, or of its entries: orchestration, ai-decision, execution, notification, or another operator's, as in "+
				"backups.example.com. Default: all.", text(), "orchestration"), namespaceParameter("; without it, of a kind that is in none")},
		Responses: map[string]*huma.Response{"200": httpapi.Answer("The uids.", "application/json", object(map[string]*huma.Schema{"items": {Type: huma.TypeArray, Items: of(reflect.TypeFor[postgres.Resource]())}}, "items"), "")}}
	return append([]*huma.Operation{getOne, list, batch, trendsOperation(of(reflect.TypeFor[rar.Trends]())), entries, resources}, jobOperations(job)...)
}

func trendsOperation(schema *huma.Schema) *huma.Operation {
	answer := httpapi.Answer("The trends. ETag names their content, not the instant.", "application/json", schema, "ETag")
	for _, f := range trendFormats[1:] {
		answer.Content[f.contentType] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
	}
	window := listParameters()
	trends := &huma.Operation{Method: http.MethodGet, Path: pathTrends, OperationID: "getTrends", Tags: []string{"reports"}, Summary: "What the remediations of a window show together",
		Description: fmt.Sprintf("Outcomes, time to repair, bottlenecks, recurrence, workflows, the worth of the AI's confidence, approvals and deliveries. At most %d days. Each section says by which time its rows lie in the window.",
			int(maxTrendWindow.Hours()/24)),
		Parameters: []*huma.Param{window[0], window[1], namespaceParameter("; repeatable"), parameter("alert", "Only remediations of this alert.", text(), "PodOOMKilled"),
			parameter("workflow", "Only remediations that ran this workflow.", text(), "restart-pods"), parameter("format", "Format of the answer.", words("json", "md", "html"), "json")},
		Responses: map[string]*huma.Response{"200": answer, "304": {Description: "The content is the one that If-None-Match names."}}}
	httpapi.Refuse(trends.Responses, noFormat)
	return trends
}

// jobSchema is that of Job.
func jobSchema(counts *huma.Schema) *huma.Schema {
	return object(map[string]*huma.Schema{
		"job": {Type: huma.TypeString}, "state": {Type: huma.TypeString, Enum: []any{jobRunning, jobDone, jobCancelled, jobFailed}}, "created_at": moment(), "expires_at": moment(), "counts": counts,
		"problem": {Ref: httpapi.SchemaPrefix + "Problem"}, "results": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject, Description: "A line of a batch."}},
		"next": {Type: huma.TypeInteger, Description: "The value of after for what follows."},
	}, "job", "state", "created_at", "expires_at", "counts", "results", "next")
}

func jobOperations(of *huma.Schema) []*huma.Operation {
	id := &huma.Param{Name: "job", In: "path", Required: true, Description: "Id of the job.", Schema: text(), Example: exampleJob}
	get := &huma.Operation{Method: http.MethodGet, Path: pathJob, OperationID: "getJob", Tags: []string{"reports"}, Summary: "A batch with narratives: its state, and results as they come",
		Description: fmt.Sprintf("Results are as the lines of a batch, at most %d an answer: ask again with after set to next. Jobs are in the memory of one process, for %s.", jobPage, jobLasts),
		Parameters:  []*huma.Param{id, parameter("after", "How many results to leave out: the value of next.", &huma.Schema{Type: huma.TypeInteger, Minimum: ptr.To(0.0), Maximum: ptr.To(float64(maxBatch))}, 0)},
		Responses:   map[string]*huma.Response{"200": httpapi.Answer("The job.", "application/json", of, "")}}
	cancel := &huma.Operation{Method: http.MethodDelete, Path: pathJob, OperationID: "cancelJob", Tags: []string{"reports"}, Summary: "Cancel a batch with narratives",
		Parameters: []*huma.Param{id}, Responses: map[string]*huma.Response{"200": httpapi.Answer("The job. Its results are kept.", "application/json", of, "")}}
	for _, op := range []*huma.Operation{get, cancel} {
		httpapi.Refuse(op.Responses, notThere, gone)
	}
	return []*huma.Operation{get, cancel}
}

func batchSchema() *huma.Schema {
	most := maxBatch
	described := func(s *huma.Schema, description string) *huma.Schema {
		s.Description = description
		return s
	}
	properties := map[string]*huma.Schema{"remediation_ids": {Type: huma.TypeArray, Items: text(), MaxItems: &most, Description: "The ids. Either these, or start and end."}}
	for _, p := range append(listParameters()[:3], listParameters()[4:8]...) {
		properties[p.Name] = described(p.Schema, p.Description)
	}
	for _, p := range reportParameters() {
		properties[p.Name] = described(p.Schema, p.Description)
	}
	some := maxNamespaces
	properties["namespace"] = described(&huma.Schema{OneOf: []*huma.Schema{text(), {Type: huma.TypeArray, Items: text(), MaxItems: &some}}}, "Namespace to look in, or several. Either here or in the query.")
	return object(properties)
}
