package rar

import (
	"slices"

	"github.com/holdfast-dev/holdfast/models"
)

// Needs are what a report says of comparable remediations beyond their requests. Analyses, executions and returns are read of these cases only: each is a look-up of its own (ADR 33). A report
// says the same whether it is read by itself or with others, since it passes over what it does not need.
type Needs struct {
	// Cases is how many of those before it are read.
	Cases int `json:"cases"`
	// Refusals is true if the analyses of cases count of which nothing was executed.
	Refusals bool `json:"refusals"`
	// Verdicts are the workflows whose cases need a verdict: whether post-conditions passed, and whether the alert came back.
	Verdicts []string `json:"verdicts"`
	// Investigator, Model and Bin are the decisions whose cases need a verdict, too; Bin is -1 for none.
	Investigator string `json:"investigator"`
	Model        string `json:"model"`
	Bin          int    `json:"bin"`
	// Returns is the workflow of which it counts how often the alert came back; empty for none.
	Returns string `json:"returns"`
	// Retries is the workflow whose executions with retries count; empty for none.
	Retries string `json:"retries"`
	// Later is true if the cases after this one count.
	Later bool `json:"later"`
}

// maxAction bounds the bytes of an action that a case may have: more fit no column. Alternatives may be of any length.
const maxAction = 4 * 255

// NeedsOf says what a report needs, by its own rows and by whether its alert came back.
func NeedsOf(in *Input) Needs {
	n := Needs{Cases: fewCases, Verdicts: []string{}, Bin: -1}
	b := &builder{in: in, subject: findSubject(in), ledger: newLedger()}
	b.findRows()
	if b.request == nil {
		return n
	}
	b.recurrences = b.findRecurrences()
	if e := b.execution; e != nil && b.outcome() == outcomeRemediated {
		n.Returns = e.WorkflowID
	}
	if e := b.execution; e != nil && retriedInVain(e) {
		n.Retries = e.WorkflowID
	}
	asked := false
	if a := b.analysis; a != nil {
		asked = a.ApprovalRequestedAt != nil
		n.decision(a, asked, b)
	}
	if asked || n.Retries != "" || b.outcome() == outcomeTimedOut { // rules that only some of the cases say anything to
		n.Cases, n.Refusals = MaxCases, true
	}
	return n
}

// decision adds what is said of the recommendation and its alternatives.
func (n *Needs) decision(a *models.AIDecisionRow, asked bool, b *builder) {
	verdict, _, _ := b.verdict()
	n.Later = len(a.AlternativesConsidered) > 0 && verdict != VerdictCorrect // what worked is compared with nothing
	if bin, ok := binOf(a.ActionConfidence); ok {
		n.Investigator, n.Model, n.Bin = a.Investigator, a.Model, bin
	}
	for _, alt := range a.AlternativesConsidered {
		n.Verdicts = append(n.Verdicts, alt.WorkflowID, alt.Action)
	}
	if n.Later || asked {
		n.Verdicts = append(n.Verdicts, a.RecommendedAction)
	}
	n.Verdicts = slices.DeleteFunc(n.Verdicts, func(id string) bool { return id == "" || len(id) > maxAction })
	slices.Sort(n.Verdicts)
	n.Verdicts = slices.Compact(n.Verdicts)
}

// retriedInVain reports whether attempts were repeated, and the workflow failed.
func retriedInVain(e *models.ExecutionRow) bool {
	return value(e.RetriesPerformed) > 0 && e.Outcome != executionSuccess && e.Outcome != ""
}
