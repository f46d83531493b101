package holmesgpt

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

const seed = `{"root_cause":"it crashes","root_cause_confidence":92,"workflow":"rollout-undo","parameters":[{"name":"toRevision","value":"4"}],"action_confidence":88.9,"rationale":"r",` +
	`"alternatives":[{"action":"scale","confidence":10,"rejected_reason":"x"}]}`

// around is what models write around an answer.
var around = [][2]string{
	{"", ""}, {"Here is my analysis:\n\n", "\n\nShall I look at the nodes?"}, {"```json\n", "\n```"}, {"```json5\n", "\n```\n"}, {"~~~\n", "\n~~~"}, {"```\n", ""}, {"\uFEFF", ""}, {"[", "]"},
	{"<think>\nThe selector is {app=cart}.\n</think>\n\n```json\n", "\n```"}, {"The labels are {\"app\":\"cart\"} and {{ .Values }}. ", ""}, {seed + "\n", ""}, {"<think>", ""}, {"{\"root_cause\":\"", "\"}"},
}

func wrapped(tb testing.TB, analysis string) []byte {
	tb.Helper()
	body, err := json.Marshal(map[string]any{"analysis": analysis, "metadata": map[string]any{"usage": map[string]any{"prompt_tokens": 2500}, "model": "m"}})
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

// Whatever a server answers: it is refused as an answer, or becomes a finding that Check accepts or refuses.
func FuzzAnswer(f *testing.F) {
	for _, a := range around {
		f.Add(wrapped(f, a[0]+seed+a[1]))
	}
	for _, analysis := range []string{
		"```json\n{\"root_cause\":\"x\",\"root_cause_confidence\":1e2,\"workflow\":\"none\"}\n```", "```", "", "{}", `{"root_cause_confidence":null}`, `{"root_cause_confidence":-1}`,
		strings.Replace(seed, `[{"name":"toRevision","value":"4"}]`, `{"toRevision":4}`, 1), strings.Replace(seed, "92", "0.95", 1), strings.Replace(seed, `"workflow"`, `"root_cause":"y","workflow"`, 1),
	} {
		f.Add(wrapped(f, analysis))
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
		if err != nil && len(err.Error()) > 3*maxQuoted {
			t.Fatalf("the error has %d bytes", len(err.Error()))
		}
	})
}

// Whatever stands around an answer: it is refused, or the finding is that of the answer. Only text that has an answer of its own, or that the answer is cut off or quoted by, changes that.
func FuzzAround(f *testing.F) {
	for _, a := range around {
		f.Add(a[0], a[1])
	}
	want, err := read(wrapped(f, seed))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		got, err := read(wrapped(t, before+seed+after))
		if err == nil && !reflect.DeepEqual(got, want) && !strings.Contains(before+after, `{`) {
			t.Fatalf("%q and %q make another finding: %+v", before, after, got)
		}
		opens := strings.HasPrefix(strings.TrimSpace(strings.TrimPrefix(before, "\uFEFF")), "<")
		if err != nil && !opens && !strings.ContainsAny(before+after, `{`) {
			t.Fatalf("%q and %q: %v", before, after, err)
		}
	})
}
