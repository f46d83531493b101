package investigator

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// ErrAnswer says that an answer cannot be used. Asking again may help.
var ErrAnswer = errors.New("unusable answer")

// Request is what an investigator is asked.
type Request struct {
	// Namespace of the target.
	Namespace string
	// Target is the workload that the alert is about.
	Target v1alpha1.Target
	// Signal is the alert.
	Signal v1alpha1.Signal
}

// Finding is the answer.
type Finding struct {
	// RootCause in prose, with its evidence.
	RootCause string
	// RootCauseConfidence in percent.
	RootCauseConfidence int32
	// Recommendation is nil when nothing should be done.
	Recommendation *Recommendation
	// NoActionReason says why nothing is recommended.
	NoActionReason string
	// Alternatives that were weighed and rejected.
	Alternatives []Alternative
	// Evidence is what was looked at, in that order.
	Evidence []Evidence
	// Model that answered; empty if it was none.
	Model string
	// PromptTokens and CompletionTokens that the model read and wrote, if it said.
	PromptTokens, CompletionTokens *int32
}

// Config is what an investigator is asked beside the case. Two investigations with the same Config were asked the same.
type Config struct {
	// Version of the investigator.
	Version string
	// PromptSHA256 is the hash, in hex, of the prompt without its case; empty if there is none.
	PromptSHA256 string
}

// Evidence is one thing that was looked at.
type Evidence struct {
	// Tool that was used, and what for.
	Tool, Purpose string
	// Excerpt of what it showed.
	Excerpt string
}

// Recommendation is a workflow of the catalogue.
type Recommendation struct {
	WorkflowID string
	Parameters map[string]string
	// Confidence in percent that the workflow helps.
	Confidence int32
	Rationale  string
}

// Alternative is a workflow, or something that no workflow does, that was weighed and rejected.
type Alternative struct {
	Action string
	// Confidence in percent that it would have helped.
	Confidence     int32
	RejectedReason string
	// WorkflowID is set by Check where the action is a workflow of the catalogue.
	WorkflowID string
}

// Bounds of texts, in bytes. JSON writes a quote or a line break as two bytes, so the whole record stays below 2 × 6 KiB × 2 (root cause, rationale) + 8 × 1.7 KiB
// (alternatives) + 16 KiB (a justification of 4,096 characters) + 2 × 2 KiB (the reason of a failure) = 58 KiB.
const (
	MaxProse        = 6 << 10
	MaxReason       = 600
	MaxAction       = 255
	MaxAlternatives = 8
	MaxError        = 2 << 10
	maxModel        = 255
)

// Bounds of what was looked at, in bytes. Evidence has what room is left in an entry beside the texts above.
const (
	MaxEvidence = 20
	MaxTool     = 128
	MaxPurpose  = 256
	MaxExcerpt  = 1 << 10
	// maxSearched is how much of an excerpt is searched for credentials. What is behind cannot be kept.
	maxSearched = 16 << 10
)

// Clean makes a text from outside safe to keep: valid UTF-8, no control characters but line breaks and tabs (each becomes U+FFFD), a mark instead of each
// credential (see package redact), no white space around it, at most limit bytes.
func Clean(text string, limit int) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			return '\uFFFD'
		}
		return r
	}, strings.ReplaceAll(text, "\r\n", "\n"))
	return outbox.Bound(strings.TrimSpace(redact.Text(text)), limit)
}

// Quote is Clean for a text of any length: of a long one only the beginning is read.
func Quote(text string, limit int) string { return Clean(searchable(text), limit) }

// Check returns the finding as it may be kept (see the package's invariants), for a target of this kind. Errors wrap ErrAnswer.
func Check(c *catalogue.Catalogue, kind string, f Finding) (Finding, error) {
	f.RootCause = Clean(f.RootCause, MaxProse)
	f.NoActionReason = Clean(f.NoActionReason, MaxProse)
	f.Model = Clean(f.Model, maxModel)
	if f.RootCause == "" {
		return Finding{}, fmt.Errorf("%w: root cause is empty, expected prose", ErrAnswer)
	}
	if err := percentage("confidence in the root cause", f.RootCauseConfidence); err != nil {
		return Finding{}, err
	}
	f.Evidence = checkEvidence(f.Evidence)
	alternatives, err := checkAlternatives(c, f.Alternatives)
	if err != nil {
		return Finding{}, err
	}
	f.Alternatives = alternatives
	if f.Recommendation == nil {
		if f.NoActionReason == "" {
			f.NoActionReason = "The investigator recommends nothing and does not say why."
		}
		return f, nil
	}
	return checkRecommendation(c, kind, f)
}

func checkRecommendation(c *catalogue.Catalogue, kind string, f Finding) (Finding, error) {
	r := *f.Recommendation
	if err := percentage("confidence in the recommendation", r.Confidence); err != nil {
		return Finding{}, err
	}
	r.Parameters = maps.Clone(r.Parameters)
	r.Rationale = Clean(r.Rationale, MaxProse)
	f.Recommendation = &r
	if problem := unusable(c, kind, r); problem != "" {
		return reject(c, f, problem), nil
	}
	f.NoActionReason = ""
	return f, nil
}

// reject takes the recommendation back: it becomes an alternative, with what speaks against it.
func reject(c *catalogue.Catalogue, f Finding, problem string) Finding {
	// It comes first, since what follows may be cut.
	rejected := Alternative{Action: Clean(f.Recommendation.WorkflowID, MaxAction), Confidence: f.Recommendation.Confidence, RejectedReason: Clean(problem, MaxReason)}
	if rejected.Action == "" {
		rejected.Action = "(unnamed)"
	}
	rejected.WorkflowID = workflowID(c, rejected.Action)
	f.Alternatives = slices.Insert(slices.Clone(f.Alternatives), 0, rejected)
	f.Alternatives = f.Alternatives[:min(len(f.Alternatives), MaxAlternatives)]
	f.NoActionReason = Clean("What the investigator recommended cannot be run: "+problem, MaxProse)
	f.Recommendation = nil
	return f
}

// unusable says why a recommendation cannot be run, or nothing.
func unusable(c *catalogue.Catalogue, kind string, r Recommendation) string {
	w, ok := c.Get(r.WorkflowID)
	if !ok {
		return fmt.Sprintf("workflow %.64q is not in the catalogue, expected one of %s", r.WorkflowID, strings.Join(c.IDs(), ", "))
	}
	if !w.Supports(kind) {
		return fmt.Sprintf("workflow %s cannot be run on a %s, expected %s", w.ID, kind, strings.Join(w.Kinds, ", "))
	}
	if _, err := w.Render(r.Parameters); err != nil {
		return err.Error()
	}
	return ""
}

// checkEvidence keeps the first MaxEvidence items. If there are more, the last one says how many.
func checkEvidence(all []Evidence) []Evidence {
	var kept []Evidence
	for _, e := range all[:min(len(all), MaxEvidence)] {
		if len(kept) == MaxEvidence-1 && len(all) > MaxEvidence {
			return append(kept, Evidence{Tool: "holdfast", Purpose: fmt.Sprintf("%d more things were looked at and are left out", len(all)-len(kept))})
		}
		e.Tool, e.Purpose, e.Excerpt = Clean(e.Tool, MaxTool), Quote(e.Purpose, MaxPurpose), Quote(e.Excerpt, MaxExcerpt)
		if e.Tool == "" {
			e.Tool = "(unnamed)"
		}
		kept = append(kept, e)
	}
	return kept
}

// searchable cuts a text to what is searched for credentials, at the end of a line: a credential that is cut in two would not be found.
func searchable(text string) string {
	if len(text) <= maxSearched {
		return text
	}
	head := text[:maxSearched]
	return fmt.Sprintf("%s\n… [cut: %d bytes, sha256 %s]", head[:strings.LastIndexByte(head, '\n')+1], len(text), entry.Hash([]byte(text)))
}

// workflowID is the action, if it is a workflow of the catalogue.
func workflowID(c *catalogue.Catalogue, action string) string {
	if _, ok := c.Get(action); ok {
		return action
	}
	return ""
}

func checkAlternatives(c *catalogue.Catalogue, all []Alternative) ([]Alternative, error) {
	kept := make([]Alternative, 0, min(len(all), MaxAlternatives))
	for _, a := range all {
		if len(kept) == MaxAlternatives {
			break
		}
		if err := percentage("confidence in an alternative", a.Confidence); err != nil {
			return nil, err
		}
		a.Action, a.RejectedReason = Clean(a.Action, MaxAction), Clean(a.RejectedReason, MaxReason)
		if a.Action == "" {
			continue
		}
		a.WorkflowID = workflowID(c, a.Action)
		kept = append(kept, a)
	}
	return kept, nil
}

func percentage(what string, p int32) error {
	if p < 0 || p > 100 {
		return fmt.Errorf("%w: %s is %d, expected 0 to 100", ErrAnswer, what, p)
	}
	return nil
}
