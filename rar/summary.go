package rar

import (
	"cmp"
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
)

// outcome of the remediation: what its record says, open while it goes on, unknown if nothing says it. A record that has no request is judged by nothing else.
func (b *builder) outcome() string {
	switch {
	case b.request == nil:
		return outcomeUnknown
	case b.completed.IsZero() && !b.request.Final && !b.posted:
		return outcomeOpen // an outcome may be known while people are being told
	case b.request.Outcome != "":
		return b.request.Outcome
	case b.posted && b.completed.IsZero():
		return outcomeOpen
	}
	return outcomeUnknown
}

func (b *builder) summary() Summary {
	s := Summary{Outcome: b.outcome(), ReceivedAt: b.received, CompletedAt: b.completed, TotalSeconds: b.total(), Target: b.target(), Refs: b.requestRefs()}
	if r := b.request; r != nil {
		s.Reason, s.RequestedBy, s.CancelledBy = r.FailureReason, r.RequestedBy, r.CancelledBy
		if c := r.SignalContext; c != nil {
			s.Alert, s.Severity, s.Labels, s.Annotations = c.Name, c.Severity, c.Labels, c.Annotations
		}
	}
	if n := b.report.Bottleneck; n != nil {
		s.Bottleneck = n.Phase
	}
	if e := b.report.Effectiveness; e != nil {
		s.Held, _ = heldFor(e)
	}
	s.OneLine = b.oneLine(&s)
	return s
}

func (b *builder) target() Target {
	t := Target{}
	if b.request == nil {
		return t
	}
	h := b.request.Head()
	t.Cluster, t.Namespace = h.SourceCluster, h.SourceNamespace
	if x := b.request.Target; x != nil {
		t.APIVersion, t.Kind, t.Name, t.UID = x.APIVersion, x.Kind, x.Name, x.UID
	}
	return t
}

// String is namespace/name.
func (t Target) String() string {
	if t.Namespace == "" {
		return t.Name
	}
	return t.Namespace + "/" + t.Name
}

// heldFor is the answer for the longest window that is over, and that window. One that did not hold decides.
func heldFor(e *Effectiveness) (held, window string) {
	for _, w := range heldWindows {
		switch e.Held[w.name] {
		case HeldNo:
			return HeldNo, w.name
		case HeldYes:
			held, window = HeldYes, w.name
		case HeldTooEarly:
			held, window = cmp.Or(held, HeldTooEarly), cmp.Or(window, w.name)
		}
	}
	return held, window
}

// outcomeWords begin the sentence of the summary.
var outcomeWords = map[string]string{
	outcomeRemediated: "Remediated", outcomeNoAction: "Ended without an action", outcomeRejected: "Rejected", outcomeFailed: "Failed", outcomeTimedOut: "Timed out", outcomeCancelled: "Cancelled",
	outcomeOpen: "Still open", outcomeUnknown: "Outcome unknown",
}

func (b *builder) oneLine(s *Summary) string {
	var line strings.Builder
	line.WriteString(cmp.Or(outcomeWords[s.Outcome], "Ended as "+shownName(s.Outcome)))
	if s.TotalSeconds != nil {
		line.WriteString(" in " + duration(*s.TotalSeconds))
	}
	fmt.Fprintf(&line, ": %s on %s.", cmp.Or(shownName(s.Alert), "an alert without a name"), cmp.Or(shownName(s.Target.String()), "an unknown target"))
	if n := b.report.Bottleneck; n != nil {
		fmt.Fprintf(&line, " The longest phase was %s: %s, %s.", phaseInSentence(n.Phase), duration(n.Seconds), percent(n.Share))
	}
	if e := b.report.Effectiveness; e != nil {
		switch held, window := heldFor(e); held {
		case HeldYes:
			line.WriteString(" The alert stayed away for " + windowWords[window] + ".")
		case HeldNo:
			line.WriteString(" The alert came back after " + duration(e.Recurrences[0].AfterSeconds) + ".")
		case HeldTooEarly:
			line.WriteString(" It is too early to say whether it holds.")
		}
	}
	return line.String()
}

var windowWords = map[string]string{"1h": "an hour", "24h": "24 hours", "7d": "7 days"}

// inSentence are the phases within a sentence.
var inSentence = map[string]string{
	phaseIntake: "the intake of the signal", phaseAnalysis: "the AI analysis", phaseApproval: "the wait for approval", phaseWorkflow: "the workflow", phaseNotification: "the notification",
	phaseQueueing: "hand-overs between the services",
}

// phaseInSentence is a phase within a sentence. Rows that are posted may name others.
func phaseInSentence(phase string) string { return cmp.Or(inSentence[phase], shownName(phase)) }

func (b *builder) history() *History {
	c := b.in.Cohort
	if c == nil || b.request == nil {
		return nil
	}
	alert, kind := "", ""
	if x := b.request.SignalContext; x != nil {
		alert = x.Name
	}
	if x := b.request.Target; x != nil {
		kind = x.Kind
	}
	h := &History{
		Definition: fmt.Sprintf("Remediations of alert %s on kind %s that were received and ended in the 30 days before this signal.", cmp.Or(alert, "(none)"), cmp.Or(kind, "(none)")),
		N:          c.N, Success: c.Success, Rate: rate(c.Success, c.N), Interval: wilson(c.Success, c.N), Mean: c.Mean, P50: c.P50, P90: c.P90, Cases: []HistoricCase{}, Refs: b.cohortRefs(),
	}
	if c.Most > 0 {
		h.Definition = strings.TrimSuffix(h.Definition, ".") + fmt.Sprintf(", the newest %d at most.", c.Most)
	}
	if total := b.total(); total != nil && c.N > 0 {
		h.Percentile = rate(c.NotSlower, c.N)
		if c.Mean != nil && *c.Mean > 0 {
			h.Longer = ptr.To(longer(*total, *c.Mean))
		}
	}
	for _, x := range b.newest[:min(len(b.newest), MaxCases)] {
		refs := b.ledger.place(models.TableOrchestration, x.Row)
		h.Cases = append(h.Cases, HistoricCase{RemediationID: x.RemediationID, Outcome: x.Outcome, CompletedAt: x.CompletedAt, Seconds: x.seconds(), WorkflowID: x.WorkflowID, Refs: refs})
		h.Refs = join(h.Refs, refs)
	}
	h.Text = historyText(h)
	return h
}

func historyText(h *History) string {
	if h.N == 0 {
		return "No comparable remediation ended in the 30 days before."
	}
	text := fmt.Sprintf("%s in the 30 days before, %d of them successful", plural(h.N, "comparable remediation", "comparable remediations"), h.Success)
	if h.Interval != nil {
		text += fmt.Sprintf(" (%s, 95 %% interval %s)", percent(*h.Rate), interval(*h.Interval))
	}
	if h.Mean != nil {
		text += ", with a mean of " + duration(*h.Mean)
	}
	switch {
	case h.Longer == nil:
	case *h.Longer >= 0.01:
		text += ": this one took " + percent(*h.Longer) + " longer"
	case *h.Longer <= -0.01:
		text += ": this one took " + percent(-*h.Longer) + " less"
	default:
		text += ": this one took as long"
	}
	return text + "."
}

// longer is by which share of the mean a time exceeds it, cut to four decimals towards zero.
func longer(total, mean float64) float64 {
	if total < mean {
		return -share(int64((mean-total)*1e6), int64(mean*1e6))
	}
	return share(int64((total-mean)*1e6), int64(mean*1e6))
}

func (c *Case) seconds() float64 { return max(0, seconds(c.SignalReceivedAt.Time, c.CompletedAt.Time)) }

// cohortRefs cite the query that the figures of the cohort are the answer of.
func (b *builder) cohortRefs() []string {
	return []string{b.ledger.query(models.TableOrchestration, "cohort.sql", "30 days before "+b.received.String())}
}
