package holmesgpt

import (
	"bytes"
	"encoding/json"
	"fmt"

	strictjson "github.com/go-json-experiment/json"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// chatResponse is the part of HolmesGPT's ChatResponse that is used.
type chatResponse struct {
	Analysis  *string         `json:"analysis"`
	Metadata  json.RawMessage `json:"metadata"`
	ToolCalls json.RawMessage `json:"tool_calls"`
}

// read makes a finding of a body. Errors wrap investigator.ErrAnswer.
func read(body []byte) (investigator.Finding, error) {
	var outer chatResponse
	if err := strictjson.Unmarshal(bytes.TrimPrefix(body, bom), &outer, anyUTF8); err != nil {
		return investigator.Finding{}, unusable("unexpected response body of /api/chat: "+because(err), body)
	}
	if outer.Analysis == nil {
		return investigator.Finding{}, fmt.Errorf("%w: the body has no analysis", investigator.ErrAnswer)
	}
	if len(*outer.Analysis) > maxAnalysis {
		return investigator.Finding{}, fmt.Errorf("%w: the analysis has %d bytes, expected at most %d", investigator.ErrAnswer, len(*outer.Analysis), maxAnalysis)
	}
	analysis := []byte(*outer.Analysis)
	s, err := findAnswer(analysis)
	if err != nil {
		return investigator.Finding{}, unusable("the analysis does not match the JSON schema: "+because(err), analysis)
	}
	f, err := s.finding()
	if err != nil {
		return investigator.Finding{}, unusable("the analysis does not match the JSON schema: "+because(err), analysis)
	}
	metadata := part(outer.Metadata)
	usage := part(metadata["usage"])
	f.Model = textOf(metadata["model"])
	f.PromptTokens, f.CompletionTokens = count(usage["prompt_tokens"]), count(usage["completion_tokens"])
	f.Evidence = evidence(outer.ToolCalls)
	return f, nil
}

// unusable quotes the beginning of what cannot be used.
func unusable(why string, text []byte) error {
	return fmt.Errorf("%w: %s: %s", investigator.ErrAnswer, why, investigator.Clean(string(text[:min(len(text), 4*maxQuoted)]), maxQuoted))
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
