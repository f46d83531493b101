package holmesgpt

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// chatResponse is the part of HolmesGPT's ChatResponse that is used.
type chatResponse struct {
	Analysis  *string         `json:"analysis"`
	Metadata  json.RawMessage `json:"metadata"`
	ToolCalls json.RawMessage `json:"tool_calls"`
}

// structured is the answer in the form of the schema.
type structured struct {
	RootCause           string      `json:"root_cause"`
	RootCauseConfidence percentage  `json:"root_cause_confidence"`
	Workflow            string      `json:"workflow"`
	Parameters          []parameter `json:"parameters"`
	ActionConfidence    percentage  `json:"action_confidence"`
	Rationale           string      `json:"rationale"`
	NoActionReason      string      `json:"no_action_reason"`
	Alternatives        []struct {
		Action         string     `json:"action"`
		Confidence     percentage `json:"confidence"`
		RejectedReason string     `json:"rejected_reason"`
	} `json:"alternatives"`
}

type parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// percentage is a number from 0 to 100, rounded down.
type percentage int32

func (p *percentage) UnmarshalJSON(b []byte) error {
	var f float64
	if err := json.Unmarshal(b, &f); err != nil || string(b) == "null" {
		return fmt.Errorf("confidence is %.32s, expected a number from 0 to 100", b)
	}
	if f < 0 || f > 100 {
		return fmt.Errorf("confidence is %v, expected 0 to 100", f)
	}
	*p = percentage(math.Floor(f))
	return nil
}

// read makes a finding of a body. Errors wrap investigator.ErrAnswer.
func read(body []byte) (investigator.Finding, error) {
	var outer chatResponse
	if err := json.Unmarshal(body, &outer); err != nil {
		return investigator.Finding{}, fmt.Errorf("%w: the body is not what /api/chat returns: %w: %s", investigator.ErrAnswer, err, investigator.Clean(string(body[:min(len(body), 4*maxQuoted)]), maxQuoted))
	}
	if outer.Analysis == nil {
		return investigator.Finding{}, fmt.Errorf("%w: the body has no analysis", investigator.ErrAnswer)
	}
	if len(*outer.Analysis) > maxAnalysis {
		return investigator.Finding{}, fmt.Errorf("%w: the analysis has %d bytes, expected at most %d", investigator.ErrAnswer, len(*outer.Analysis), maxAnalysis)
	}
	var s structured
	text := unfence(*outer.Analysis)
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return investigator.Finding{}, fmt.Errorf("%w: the analysis is not JSON of the schema: %w: %s", investigator.ErrAnswer, err, investigator.Clean(text, maxQuoted))
	}
	f := s.finding()
	metadata := part(outer.Metadata)
	usage := part(metadata["usage"])
	f.Model = textOf(metadata["model"])
	f.PromptTokens, f.CompletionTokens = count(usage["prompt_tokens"]), count(usage["completion_tokens"])
	f.Evidence = evidence(outer.ToolCalls)
	return f, nil
}

// evidence is what the tools were called for, and what they returned. Servers give the result as a text, or as an object with the text in data and what went wrong in error.
// Like all that the server says about itself it may be missing, or of another form.
func evidence(raw json.RawMessage) []investigator.Evidence {
	var calls []json.RawMessage
	if json.Unmarshal(raw, &calls) != nil {
		return nil
	}
	var all []investigator.Evidence
	for i, c := range calls {
		call := part(c)
		e := investigator.Evidence{Tool: textOf(call["tool_name"]), Purpose: textOf(call["description"])}
		if i < investigator.MaxEvidence {
			e.Excerpt = resultOf(call["result"])
		}
		all = append(all, e)
	}
	return all
}

func resultOf(raw json.RawMessage) string {
	result := part(raw)
	for _, text := range []string{textOf(raw), textOf(result["data"]), textOf(result["error"])} {
		if text != "" {
			return text
		}
	}
	if string(raw) == "null" || string(raw) == `""` {
		return ""
	}
	return string(raw)
}

func (s structured) finding() investigator.Finding {
	f := investigator.Finding{RootCause: s.RootCause, RootCauseConfidence: int32(s.RootCauseConfidence), NoActionReason: s.NoActionReason}
	for _, a := range s.Alternatives {
		f.Alternatives = append(f.Alternatives, investigator.Alternative{Action: a.Action, Confidence: int32(a.Confidence), RejectedReason: a.RejectedReason})
	}
	if s.Workflow == noWorkflow || s.Workflow == "" {
		if f.NoActionReason == "" {
			f.NoActionReason = s.Rationale
		}
		return f
	}
	f.Recommendation = &investigator.Recommendation{WorkflowID: s.Workflow, Parameters: map[string]string{}, Confidence: int32(s.ActionConfidence), Rationale: s.Rationale}
	for _, p := range s.Parameters {
		f.Recommendation.Parameters[p.Name] = p.Value
	}
	return f
}

// unfence takes the Markdown fence off that models like to put around JSON.
func unfence(text string) string {
	text = strings.TrimSpace(text)
	inner, fenced := strings.CutPrefix(text, "```")
	if !fenced {
		return text
	}
	inner = strings.TrimPrefix(inner, "json")
	if end := strings.LastIndex(inner, "```"); end >= 0 {
		inner = inner[:end]
	}
	return strings.TrimSpace(inner)
}

// part reads an object of what the server says about itself: all of it may be missing, or of another form, and is no reason to lose an answer.
func part(raw json.RawMessage) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// count is a number of tokens, nil if it is none that a column holds.
func count(raw json.RawMessage) *int32 {
	var n int32
	if json.Unmarshal(raw, &n) != nil || string(raw) == "null" || n < 0 {
		return nil
	}
	return &n
}

func textOf(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
