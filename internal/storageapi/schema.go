package storageapi

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// endpoint takes the records of one table. schema is what the document shows and what is checked.
type endpoint struct {
	path, table, kind, name, operation, summary string

	record   reflect.Type
	schema   *huma.Schema
	examples []example
}

// Bounds of what a list or a map in a record may hold.
const (
	maxItems  = 1000
	maxLabels = 1000
)

const (
	hashPattern        = "^[0-9a-f]{64}$"
	eventPattern       = "^[A-Z][A-Za-z0-9]*$"
	traceparentPattern = "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"
)

var patterns = map[string]*regexp.Regexp{
	hashPattern:        regexp.MustCompile(hashPattern),
	eventPattern:       regexp.MustCompile(eventPattern),
	traceparentPattern: regexp.MustCompile(traceparentPattern),
}

// endpoints in the order of the document.
func endpoints() []*endpoint {
	all := []*endpoint{
		{path: "/api/v1/audit/orchestration", table: models.TableOrchestration, kind: entry.KindOrchestration, name: "OrchestrationRecord", operation: "postOrchestration",
			summary: "Store orchestration records", record: reflect.TypeFor[models.Orchestration]()},
		{path: "/api/v1/audit/ai-decisions", table: models.TableAIAnalysis, kind: entry.KindAIDecision, name: "AIDecisionRecord", operation: "postAIDecision",
			summary: "Store AI decision records", record: reflect.TypeFor[models.AIDecision]()},
		{path: "/api/v1/audit/executions", table: models.TableExecution, kind: entry.KindExecution, name: "ExecutionRecord", operation: "postExecution",
			summary: "Store workflow execution records", record: reflect.TypeFor[models.Execution]()},
		{path: "/api/v1/audit/notifications", table: models.TableNotification, kind: entry.KindNotification, name: "NotificationRecord", operation: "postNotification",
			summary: "Store notification records", record: reflect.TypeFor[models.Notification]()},
	}
	for _, e := range all {
		e.schema = recordSchema(e.record)
		maps.Copy(e.schema.Properties, envelopeSchemas())
		maps.Copy(e.schema.Properties, claimSchemas())
		e.examples = examplesOf(e.table)
	}
	return all
}

// recordSchema describes a record of package models by its tags: the same names, lengths and required columns as its table.
func recordSchema(t reflect.Type) *huma.Schema {
	s := structSchema(t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		p, options := s.Properties[name], f.Tag.Get("bun")
		p.Description = described(name, name)
		if _, rest, ok := strings.Cut(options, "type:varchar("); ok {
			inner, _, _ := strings.Cut(rest, ")")
			if n, err := strconv.Atoi(inner); err == nil {
				p.MaxLength = &n
			}
		}
		if strings.HasSuffix(options, ",notnull") {
			s.Required = append(s.Required, name)
			if p.Type == huma.TypeString && p.Format == "" {
				p.MinLength = ptr.To(1)
			}
		} else {
			p.Nullable = true
		}
	}
	return s
}

func structSchema(t reflect.Type) *huma.Schema {
	s := &huma.Schema{Type: huma.TypeObject, Properties: map[string]*huma.Schema{}, AdditionalProperties: false}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		s.Properties[name] = typeSchema(t.Field(i).Type)
		s.Properties[name].Description = described(t.Name()+"."+name, name)
	}
	s.Required = slices.Clone(required[t.Name()])
	return s
}

func typeSchema(t reflect.Type) *huma.Schema {
	if t.Kind() == reflect.Pointer {
		s := typeSchema(t.Elem())
		s.Nullable = true
		return s
	}
	if t == reflect.TypeFor[outboxapi.Time]() {
		return &huma.Schema{Type: huma.TypeString, Format: "date-time"}
	}
	switch t.Kind() {
	case reflect.String:
		return &huma.Schema{Type: huma.TypeString}
	case reflect.Bool:
		return &huma.Schema{Type: huma.TypeBoolean}
	case reflect.Int, reflect.Int32, reflect.Int64: // durations and counts, of columns of four bytes
		return &huma.Schema{Type: huma.TypeInteger, Minimum: ptr.To(0.0), Maximum: ptr.To(float64(math.MaxInt32))}
	case reflect.Float64: // percentages
		return &huma.Schema{Type: huma.TypeNumber, Minimum: ptr.To(0.0), Maximum: ptr.To(100.0)}
	case reflect.Slice:
		return &huma.Schema{Type: huma.TypeArray, Items: typeSchema(t.Elem()), MaxItems: ptr.To(maxItems)}
	case reflect.Map:
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: typeSchema(t.Elem()), MaxProperties: ptr.To(maxLabels)}
	case reflect.Struct:
		return structSchema(t)
	}
	panic(fmt.Sprintf("storage: package models has a field of type %s, which has no schema", t)) // a test makes all schemas
}

// envelopeSchemas are the fields around a record that every caller may set.
func envelopeSchemas() map[string]*huma.Schema {
	return nameless(map[string]*huma.Schema{
		"id":             {Type: huma.TypeString, Format: "uuid"},
		"event":          {Type: huma.TypeString, Pattern: eventPattern, MaxLength: ptr.To(64)},
		"phase":          {Type: huma.TypeString, MaxLength: ptr.To(50)},
		"final":          {Type: huma.TypeBoolean},
		"recorded_at":    {Type: huma.TypeString, Format: "date-time"},
		"traceparent":    {Type: huma.TypeString, Pattern: traceparentPattern},
		"schema_version": {Type: huma.TypeInteger, Minimum: ptr.To(float64(entry.SchemaVersion)), Maximum: ptr.To(float64(entry.SchemaVersion))},
	})
}

// claims are the names of the fields that claim an origin.
var claims = slices.Sorted(maps.Keys(claimSchemas()))

// claimSchemas are the fields that claim an origin.
func claimSchemas() map[string]*huma.Schema {
	return nameless(map[string]*huma.Schema{
		"source_cluster":   {Type: huma.TypeString, MaxLength: ptr.To(255)},
		"source_namespace": {Type: huma.TypeString, MaxLength: ptr.To(255)},
		"source_name":      {Type: huma.TypeString, MaxLength: ptr.To(255)},
		"source_uid":       {Type: huma.TypeString, Format: "uuid"},
		"sequence":         {Type: huma.TypeInteger, Minimum: ptr.To(1.0), Maximum: ptr.To(float64(1 << 53))},
		"previous_hash":    {Type: huma.TypeString, Pattern: hashPattern},
		"entry_hash":       {Type: huma.TypeString, Pattern: hashPattern},
		"entry":            {Type: huma.TypeString},
	})
}

func nameless(fields map[string]*huma.Schema) map[string]*huma.Schema {
	for name, s := range fields {
		s.Nullable, s.Description = true, described(name, name)
	}
	return fields
}

// expected says in words what a schema takes.
func expected(s *huma.Schema) string {
	switch s.Type {
	case huma.TypeBoolean:
		return "true or false"
	case huma.TypeInteger:
		if *s.Minimum == *s.Maximum {
			return fmt.Sprintf("the integer %.0f", *s.Minimum)
		}
		return fmt.Sprintf("an integer from %.0f to %.0f", *s.Minimum, *s.Maximum)
	case huma.TypeNumber:
		return fmt.Sprintf("a number from %g to %g", *s.Minimum, *s.Maximum)
	case huma.TypeArray:
		return "an array"
	case huma.TypeObject:
		return "an object"
	}
	switch {
	case s.Format == "date-time":
		return "a time in RFC 3339, as in 2026-11-23T04:05:06.123456Z"
	case s.Format == "uuid":
		return "a UUID, as in 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b"
	case s.Pattern == hashPattern:
		return "64 lower-case hex digits"
	case s.Pattern == eventPattern:
		return "a CamelCase word of at most 64 letters and digits"
	case s.Pattern == traceparentPattern:
		return "a W3C traceparent of version 00"
	case s.MaxLength != nil && s.MinLength != nil:
		return fmt.Sprintf("a string of %d to %d characters", *s.MinLength, *s.MaxLength)
	case s.MaxLength != nil:
		return fmt.Sprintf("a string of at most %d characters", *s.MaxLength)
	}
	return "a string"
}
