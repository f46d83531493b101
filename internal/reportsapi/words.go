package reportsapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

func rawJSON(text string) json.RawMessage { return json.RawMessage(text) }

// commandLine is how an operation is called from a shell.
func commandLine(op *huma.Operation) string {
	const header = `--header "Authorization: Bearer $HOLDFAST_REPORTS_TOKEN"`
	switch {
	case op.Method == http.MethodPost:
		return `curl "$HOLDFAST_REPORTS_URL` + op.Path + `" ` + header + " \\\n  --header 'Content-Type: application/json' --data '" + `{"remediation_ids": ["` + exampleID + `"]}'`
	case len(op.Parameters) == 0:
		return ""
	}
	path := strings.NewReplacer("{remediation_id}", exampleID, "{uid}", exampleID, "{job}", exampleJob).Replace(op.Path)
	separator := "?"
	for _, p := range op.Parameters {
		if p.Required && p.In == "query" {
			path += fmt.Sprintf("%s%s=%v", separator, p.Name, p.Example)
			separator = "&"
		}
	}
	if op.Method == http.MethodDelete {
		return `curl --request DELETE "$HOLDFAST_REPORTS_URL` + path + `" ` + header
	}
	return `curl "$HOLDFAST_REPORTS_URL` + path + `" ` + header
}

// expected says in words what a schema takes.
func expected(s *huma.Schema) string {
	switch {
	case len(s.Enum) > 0:
		var all []string
		for _, w := range s.Enum {
			all = append(all, fmt.Sprint(w))
		}
		return either(all)
	case s.Type == huma.TypeInteger && s.Maximum != nil:
		return fmt.Sprintf("an integer from %.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Format == "date-time":
		return "a time in RFC 3339"
	case s.Format == "uuid":
		return "a UUID"
	case s.Type == huma.TypeArray && s.MaxItems != nil:
		return fmt.Sprintf("an array of at most %d", *s.MaxItems)
	case s.MaxLength != nil:
		return fmt.Sprintf("at most %d characters", *s.MaxLength)
	}
	return "a " + s.Type
}
