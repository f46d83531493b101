package investigator_test

import (
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/redact"
)

// Whatever an investigator says, what is kept is bounded, clean, and names a workflow that can be run, or none.
func FuzzCheck(f *testing.F) {
	c, err := catalogue.Default()
	if err != nil {
		f.Fatal(err)
	}
	f.Add("it crashes", int32(90), "rollout-undo", "toRevision", "4", int32(88), "it began with the rollout", "scale", int32(1), "no")
	f.Add("\x00\x1b[31m\xff", int32(-1), "scale", "replicas", "1e9", int32(101), "password=sesame", "", int32(0), "")
	f.Fuzz(func(t *testing.T, cause string, sure int32, workflow, name, value string, confidence int32, rationale, action string, other int32, rejected string) {
		got, err := investigator.Check(c, "Deployment", investigator.Finding{
			RootCause: cause, RootCauseConfidence: sure, NoActionReason: rejected, Model: action,
			Recommendation: &investigator.Recommendation{WorkflowID: workflow, Parameters: map[string]string{name: value}, Confidence: confidence, Rationale: rationale},
			Alternatives:   []investigator.Alternative{{Action: action, Confidence: other, RejectedReason: rejected}},
		})
		if err != nil {
			if !errors.Is(err, investigator.ErrAnswer) {
				t.Fatal(err)
			}
			return
		}
		keep := func(text string, limit int) {
			if len(text) > limit || !utf8.ValidString(text) {
				t.Fatalf("%q has %d bytes, expected valid UTF-8 of at most %d", text, len(text), limit)
			}
		}
		keep(got.RootCause, investigator.MaxProse)
		keep(got.NoActionReason, investigator.MaxProse)
		if len(cause) < 1<<10 && redact.Text(got.RootCause) != got.RootCause { // a longer one may be cut in a mark
			t.Fatalf("%q has a credential", got.RootCause)
		}
		if len(got.Alternatives) > investigator.MaxAlternatives {
			t.Fatalf("%d alternatives", len(got.Alternatives))
		}
		for _, a := range got.Alternatives {
			keep(a.Action, investigator.MaxAction)
			keep(a.RejectedReason, investigator.MaxReason)
		}
		if r := got.Recommendation; r != nil {
			keep(r.Rationale, investigator.MaxProse)
			w, ok := c.Get(r.WorkflowID)
			if !ok {
				t.Fatalf("workflow %q is not in the catalogue", r.WorkflowID)
			}
			if _, err := w.Render(r.Parameters); err != nil {
				t.Fatal(err)
			}
		}
	})
}
