package holmesgpt

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

// Whatever a server answers: it is refused as an answer, or becomes a finding that Check accepts or refuses.
func FuzzAnswer(f *testing.F) {
	for _, analysis := range []string{
		`{"root_cause":"it crashes","root_cause_confidence":92,"workflow":"rollout-undo","parameters":[{"name":"toRevision","value":"4"}],"action_confidence":88.9,"rationale":"r",` +
			`"alternatives":[{"action":"scale","confidence":10,"rejected_reason":"x"}]}`,
		"```json\n{\"root_cause\":\"x\",\"root_cause_confidence\":1e2,\"workflow\":\"none\"}\n```", "```", "", "{}", `{"root_cause_confidence":null}`, `{"root_cause_confidence":-1}`,
	} {
		body, err := json.Marshal(map[string]any{"analysis": analysis, "metadata": map[string]any{"usage": map[string]any{"prompt_tokens": 2500}, "model": "m"}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Add([]byte(`{"analysis":null,"metadata":[]}`))
	c, err := catalogue.Default()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		finding, err := read(body)
		if err == nil {
			_, err = investigator.Check(c, "Deployment", finding)
		}
		if err != nil && !errors.Is(err, investigator.ErrAnswer) {
			t.Fatalf("%v is no %v", err, investigator.ErrAnswer)
		}
	})
}
