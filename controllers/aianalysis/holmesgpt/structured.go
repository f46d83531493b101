package holmesgpt

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"

	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// anyUTF8 reads texts that are not UTF-8, and lone surrogates, as U+FFFD. Beside that an answer is read strictly: a member that is repeated is an error, and names are case-sensitive.
var anyUTF8 = jsontext.AllowInvalidUTF8(true)

// structured is the answer in the form of the schema.
type structured struct {
	RootCause           string         `json:"root_cause"`
	RootCauseConfidence percentage     `json:"root_cause_confidence"`
	Workflow            jsontext.Value `json:"workflow"`
	Parameters          parameters     `json:"parameters"`
	ActionConfidence    percentage     `json:"action_confidence"`
	Rationale           string         `json:"rationale"`
	NoActionReason      string         `json:"no_action_reason"`
	Alternatives        []struct {
		Action         string     `json:"action"`
		Confidence     percentage `json:"confidence"`
		RejectedReason string     `json:"rejected_reason"`
	} `json:"alternatives"`
}

// finding is what the answer says. The workflow and its parameters are checked by investigator.Check.
func (s *structured) finding() (f investigator.Finding, err error) {
	f = investigator.Finding{RootCause: s.RootCause, NoActionReason: s.NoActionReason}
	if f.RootCauseConfidence, err = s.RootCauseConfidence.of("root_cause_confidence"); err != nil {
		return f, err
	}
	for i, a := range s.Alternatives {
		confidence, err := a.Confidence.of(fmt.Sprintf("alternatives/%d/confidence", i))
		if err != nil {
			return f, err
		}
		f.Alternatives = append(f.Alternatives, investigator.Alternative{Action: a.Action, Confidence: confidence, RejectedReason: a.RejectedReason})
	}
	var workflow *string // null is none
	if err := json.Unmarshal(s.Workflow, &workflow); err != nil {
		return f, fmt.Errorf("workflow is %.64q, expected the name of one, or %q", s.Workflow, noWorkflow)
	}
	if workflow == nil || *workflow == "" || *workflow == noWorkflow {
		if f.NoActionReason == "" {
			f.NoActionReason = s.Rationale
		}
		return f, nil
	}
	confidence, err := s.ActionConfidence.of("action_confidence")
	f.Recommendation = &investigator.Recommendation{WorkflowID: *workflow, Parameters: map[string]string{}, Confidence: confidence, Rationale: s.Rationale}
	maps.Copy(f.Recommendation.Parameters, s.Parameters)
	return f, err
}

// percentage is a number from 0 to 100, rounded down.
type percentage struct {
	// stated is false if it is missing: a confidence that nobody stated is not zero.
	stated  bool
	percent int32
}

const expectedPercentage = "expected a whole percentage from 0 to 100"

// UnmarshalJSON refuses what may be a fraction of one: 0.95 is no percentage of a model that is almost sure.
func (p *percentage) UnmarshalJSON(b []byte) error {
	var f float64
	switch err := json.Unmarshal(b, &f); {
	case err != nil || string(b) == "null":
		return fmt.Errorf("confidence is %.32s, %s", b, expectedPercentage)
	case f < 0 || f > 100:
		return fmt.Errorf("confidence is %v, %s", f, expectedPercentage)
	case f > 0 && f < 1, f == 1 && string(b) != "1":
		return fmt.Errorf("confidence is %.32s, which may be a fraction of 1, %s", b, expectedPercentage)
	}
	*p = percentage{stated: true, percent: int32(math.Floor(f))}
	return nil
}

// of is the percentage of that name, or an error if it is missing.
func (p percentage) of(name string) (int32, error) {
	if !p.stated {
		return 0, fmt.Errorf("%s is missing, %s", name, expectedPercentage)
	}
	return p.percent, nil
}

// parameters are a list of names and values, as the schema says, or an object of them, as models like it better. Each name is there once.
type parameters map[string]string

// UnmarshalJSON reads both forms.
func (p *parameters) UnmarshalJSON(b []byte) error {
	*p = parameters{}
	var list []struct {
		Name  string `json:"name"`
		Value scalar `json:"value"`
	}
	switch jsontext.Value(b).Kind() {
	case 'n':
	case '{':
		var named map[string]scalar
		if err := strictjson.Unmarshal(b, &named, anyUTF8); err != nil {
			return err
		}
		for name, value := range named {
			(*p)[name] = string(value)
		}
	case '[':
		if err := strictjson.Unmarshal(b, &list, anyUTF8); err != nil {
			return err
		}
	default:
		return fmt.Errorf("it is %.32s, expected a list of names and values, or an object", b)
	}
	for i, parameter := range list {
		if _, repeated := (*p)[parameter.Name]; repeated {
			return fmt.Errorf("%d/name is %.64q, which is given twice, expected each parameter once", i, parameter.Name)
		}
		(*p)[parameter.Name] = string(parameter.Value)
	}
	return nil
}

// scalar is a parameter's value as text: a number or a boolean as it is written, null as nothing.
type scalar string

// UnmarshalJSON reads them.
func (s *scalar) UnmarshalJSON(b []byte) error {
	switch jsontext.Value(b).Kind() {
	case 'n':
		*s = ""
	case '"':
		return json.Unmarshal(b, (*string)(s))
	case '0', 't', 'f':
		*s = scalar(b)
	default:
		return fmt.Errorf("value is %.32s, expected a text, a number, true or false", b)
	}
	return nil
}

// because is an error of the decoder in the words of JSON, without those of Go, and bounded.
func because(err error) string {
	place := ""
	for semantic := (*strictjson.SemanticError)(nil); errors.As(err, &semantic) && semantic.Err != nil; {
		place += string(semantic.JSONPointer)
		err = semantic.Err
	}
	text := err.Error()
	if place != "" {
		text = strings.TrimPrefix(place, "/") + ": " + text
	}
	return investigator.Clean(text, maxQuoted)
}
