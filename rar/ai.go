package rar

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
)

// Outcomes of requests and executions, and states of approvals, as the records have them.
const (
	outcomeRemediated = "remediated"
	outcomeNoAction   = "no-action"
	outcomeRejected   = "rejected"
	outcomeFailed     = "failed"
	outcomeTimedOut   = "timed-out"
	outcomeCancelled  = "cancelled"
	outcomeOpen       = "open"
	outcomeUnknown    = "unknown"
	outcomeOther      = "other" // of trends: what records named beside the most frequent

	executionSuccess = "success"

	approvalApproved     = "approved"
	approvalRejected     = "rejected"
	approvalAutoApproved = "auto-approved"
	approvalExpired      = "expired"
	approvalPending      = "pending"
)

// verdictWindow is how long the alert must stay away for a recommendation to count as correct.
const verdictWindow = 24 * time.Hour

func (b *builder) ai() *AI {
	a := b.analysis
	if a == nil {
		return nil
	}
	s := &AI{
		Investigator: a.Investigator, Model: a.Model, ModelConfig: a.ModelConfig, RootCause: a.RootCause, RootCauseConfidence: a.RootCauseConfidence,
		Action: a.RecommendedAction, ActionConfidence: a.ActionConfidence, Parameters: a.RecommendedParameters, Rationale: a.ActionRationale,
		NoActionReason: a.NoActionReason, FailureReason: a.FailureReason, Evidence: notEmpty(a.Evidence), Attempts: a.Attempts, Refs: b.analysisRefs(),
	}
	if s.Parameters == nil {
		s.Parameters = map[string]string{}
	}
	if a.PromptTokens != nil || a.CompletionTokens != nil {
		s.Tokens = &Tokens{Prompt: a.PromptTokens, Completion: a.CompletionTokens}
	}
	if a.InvestigationCompletedAt != nil {
		s.Seconds = ptr.To(max(0, seconds(a.InvestigationStartedAt.Time, a.InvestigationCompletedAt.Time)))
	}
	s.Verdict, s.VerdictReason, s.VerdictRefs = b.verdict()
	s.Calibration = b.calibration()
	s.Alternatives = []Alternative{}
	for _, alt := range a.AlternativesConsidered {
		s.Alternatives = append(s.Alternatives, Alternative{
			Action: alt.Action, WorkflowID: alt.WorkflowID, Confidence: alt.Confidence, RejectedReason: alt.RejectedReason,
			Hindsight: b.hindsight(&alt, s.Verdict), Refs: b.analysisRefs(),
		})
	}
	return s
}

// verdict says how the recommendation turned out, as trends_ai.sql does: correct is success, post-conditions that passed, and no return of the same fingerprint and target within
// 24 hours. Whoever refuses an action does not prove it wrong, and nobody knows how one that somebody cancelled would have ended.
func (b *builder) verdict() (verdict, reason string, refs []string) {
	refs = join(b.requestRefs(), b.executionRefs())
	if !b.executedSomething() {
		return VerdictNotExecuted, "Nothing was executed, so nothing shows whether the recommendation was right.", refs
	}
	passed := (*bool)(nil)
	if b.execution != nil {
		passed = b.execution.PostConditionsPassed
	}
	outcome := b.outcome()
	switch {
	case outcome == outcomeOpen || outcome == outcomeUnknown:
		return VerdictUnproven, "The remediation has not ended, as far as its record says.", refs
	case outcome == outcomeCancelled:
		return VerdictUnproven, "Somebody cancelled it: nobody knows how it would have ended.", refs
	case outcome != outcomeRemediated:
		return VerdictIncorrect, "The action was executed, and the remediation ended as " + shownName(outcome) + ".", refs
	case passed != nil && !*passed:
		return VerdictIncorrect, "The post-conditions did not pass.", refs
	case b.cameBack(verdictWindow):
		first := b.recurrences[0]
		return VerdictIncorrect, "The same alert on the same target came back after " + duration(first.AfterSeconds) + ".", join(refs, first.Refs)
	case passed == nil:
		return VerdictUnproven, "No post-condition was looked at.", refs
	case b.completed.IsZero() || !b.over(b.completed.Add(verdictWindow)):
		return VerdictUnproven, "Too early: 24 hours without a return of the alert are not over.", refs
	}
	return VerdictCorrect, "It succeeded, its post-conditions passed, and the alert did not come back within 24 hours.", refs
}

// executedSomething reports whether a workflow began.
func (b *builder) executedSomething() bool {
	return b.execution != nil && len(b.execution.StepsExecuted) > 0 || b.request != nil && b.request.WorkflowStartedAt != nil || b.posted && b.execution != nil
}

// calibration compares the confidence of this recommendation with how often the investigator was right when it was as confident, on the same alert and kind of target. It concludes from as many
// cases as a recommendation does: fewer than trends, whose groups are of anything. Wilson's interval says what they are worth.
func (b *builder) calibration() *Calibration {
	a := b.analysis
	bin, ok := binOf(a.ActionConfidence)
	if !ok {
		return nil
	}
	c := &Calibration{Bin: fmt.Sprintf("%d–%d", 10*bin, 10*bin+10), Refs: b.analysisRefs()}
	var success int64
	var confidence float64
	for _, before := range b.earlier(func(x *Case) bool {
		other, ok := binOf(x.ActionConfidence)
		return ok && other == bin && x.WorkflowID != "" && x.Investigator == a.Investigator && x.Model == a.Model
	}) {
		c.Decisions++
		good, known := before.verdict(b.in.AsOf)
		if !known {
			continue
		}
		c.N++
		confidence += *before.ActionConfidence
		if good {
			success++
		}
		c.Refs = join(c.Refs, b.ledger.place(models.TableAIAnalysis, before.Analysis))
	}
	c.Observed, c.Interval = rate(success, c.N), wilson(success, c.N)
	who := strings.TrimSpace(shownName(a.Investigator) + " " + shownName(a.Model))
	const of = "in the newest comparable remediations"
	switch {
	case c.Interval == nil:
		c.Text = fmt.Sprintf("No decision of %s with a confidence of %s %% %s has a verdict, so nothing here shows what this confidence is worth; trends have it for all alerts.", who, c.Bin, of)
	case c.N < minComparable:
		c.Text = fmt.Sprintf("%s with a confidence of %s %% %s: %s right. That is too few to conclude anything (fewer than %d); trends have it for all alerts.", who, c.Bin, of, counted(c), minComparable)
	default:
		verdict := compareConfidence(confidence/float64(c.N), c.Interval)
		c.Text = fmt.Sprintf("%s with a confidence of %s %% %s: %s right (95 %% interval %s): %s.", who, c.Bin, of, counted(c), interval(*c.Interval), confidenceWords[verdict])
	}
	return c
}

// binOf is one of ten; the last includes 100.
func binOf(confidence *float64) (bin int, ok bool) {
	if confidence == nil || !(*confidence >= 0 && *confidence <= 100) {
		return 0, false
	}
	return min(int(math.Floor(*confidence/10)), 9), true
}

func counted(c *Calibration) string {
	return fmt.Sprintf("%s of %d executed decisions", percent(*c.Observed), c.N)
}

// hindsight is how an alternative did on the same alert and kind of target, where it was executed: before this remediation and after it.
func (b *builder) hindsight(alt *models.Alternative, verdict string) Hindsight {
	h := Hindsight{Verdict: HindsightUnknown, Refs: []string{}}
	var chosen, chosenSuccess int64
	for _, c := range b.cases() {
		if c.WorkflowID == "" || c.RemediationID == b.in.RemediationID {
			continue
		}
		good, known := c.verdict(b.in.AsOf)
		if !known {
			continue
		}
		switch c.WorkflowID {
		case alt.WorkflowID, alt.Action:
			h.N++
			if good {
				h.Success++
			}
			h.Refs = join(h.Refs, b.ledger.place(models.TableOrchestration, c.Row))
			if c.Outcome == outcomeRemediated { // else the request says enough, and the execution was not read for this
				h.Refs = join(h.Refs, b.ledger.place(models.TableExecution, c.Execution))
			}
		case b.analysis.RecommendedAction:
			chosen++
			if good {
				chosenSuccess++
			}
		}
	}
	h.Rate, h.Interval = rate(h.Success, h.N), wilson(h.Success, h.N)
	h.Refs = join(h.Refs, b.analysisRefs())
	switch {
	case verdict == VerdictCorrect && h.N == 0:
		h.Verdict, h.Text = HindsightRightlyNot, "Rightly not taken, as far as the record says: what was recommended worked, and this action was never executed on the same alert."
	case verdict == VerdictCorrect:
		h.Verdict, h.Text = HindsightRightlyNot, "Rightly not taken, as far as the record says: what was recommended worked. "+h.did()
	case h.N == 0:
		h.Text = "It was never executed on the same alert, so nothing shows whether it would have been better."
	case verdict == VerdictIncorrect && h.Interval[0] > share(chosenSuccess, chosen):
		h.Verdict, h.Text = HindsightBetter, "It might have been better. "+h.did()
	default:
		h.Text = h.did()
	}
	return h
}

func (h *Hindsight) did() string {
	return fmt.Sprintf("On the same alert it was executed %s and succeeded %s (%s, 95 %% interval %s).",
		plural(h.N, "time", "times"), plural(h.Success, "time", "times"), percent(*h.Rate), interval(*h.Interval))
}

// cases are the comparable remediations, before and after, the newest first.
func (b *builder) cases() []Case { return newestFirst(slices.Concat(b.in.Earlier, b.in.Later)) }

func newestFirst(cases []Case) []Case {
	return slices.SortedFunc(slices.Values(cases), func(x, y Case) int {
		return cmp.Or(y.CompletedAt.Compare(x.CompletedAt.Time), cmp.Compare(y.ID, x.ID))
	})
}

// verdict of a comparable remediation, by the same rule; known is false while it has none.
func (c *Case) verdict(asOf time.Time) (good, known bool) {
	back := c.CameBackAt != nil && !c.CameBackAt.After(c.CompletedAt.Add(verdictWindow))
	switch {
	case c.Outcome == outcomeCancelled:
		return false, false
	case c.Outcome != outcomeRemediated, c.PostConditionsPassed != nil && !*c.PostConditionsPassed, back:
		return false, true
	case c.PostConditionsPassed == nil, asOf.Before(c.CompletedAt.Add(verdictWindow)):
		return false, false
	}
	return true, true
}
