package plugin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

// proposal is what somebody has to decide on.
type proposal struct {
	Namespace  string            `json:"namespace"`
	Name       string            `json:"name"`
	UID        string            `json:"uid"`
	Request    string            `json:"request"`
	Alert      string            `json:"alert"`
	Severity   string            `json:"severity"`
	Target     string            `json:"target"`
	Workflow   string            `json:"workflow"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Confidence int32             `json:"confidence"`
	Requested  time.Time         `json:"requestedTime"`
	Deadline   time.Time         `json:"deadlineTime"`

	recommendation *v1alpha1.Recommendation
}

func proposalOf(a *v1alpha1.AIAnalysis) *proposal {
	p := &proposal{
		Namespace: a.Namespace, Name: a.Name, UID: string(a.UID), Request: a.Spec.RemediationRef.Name, Alert: a.Spec.Signal.Name, Severity: a.Spec.Signal.Severity,
		Target: a.Spec.Target.Kind + "/" + a.Spec.Target.Name, Requested: requestedTime(a), Deadline: approvalDeadline(a),
	}
	if r := a.Status.Recommendation; r != nil {
		p.recommendation, p.Workflow, p.Parameters, p.Confidence = r, r.WorkflowID, r.Parameters, r.Confidence
	}
	return p
}

// requestedTime is when a decision was asked for.
func requestedTime(a *v1alpha1.AIAnalysis) time.Time {
	if p := a.Status.Approval; p != nil && p.RequestedTime != nil {
		return p.RequestedTime.Time
	}
	return a.CreationTimestamp.Time
}

// approvalDeadline is when an analysis expires, as its controller works it out.
func approvalDeadline(a *v1alpha1.AIAnalysis) time.Time {
	if a.Spec.ApprovalTimeout == nil {
		return requestedTime(a).Add(time.Hour)
	}
	return requestedTime(a).Add(a.Spec.ApprovalTimeout.Duration)
}

// parameters are NAME=VALUE, by name.
func parameters[V ~string](of map[string]V) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		all = append(all, name+"="+string(of[name]))
	}
	return strings.Join(all, " ")
}

// awaited is the result of approvals.
type awaited struct {
	Items []*proposal `json:"items"`

	now time.Time
}

func (a *awaited) text(p *page) {
	if len(a.Items) == 0 {
		p.line("Nothing waits for a decision.")
		return
	}
	header := []string{"NAMESPACE", "NAME", "ALERT", "TARGET", "WORKFLOW", "CONFIDENCE", "WAITING", "EXPIRES"}
	if p.wide {
		header = append(header, "PARAMETERS", "REQUEST")
	}
	rows := make([][]string, len(a.Items))
	for i, q := range a.Items {
		rows[i] = []string{q.Namespace, q.Name, q.Alert, q.Target, q.Workflow, strconv.Itoa(int(q.Confidence)) + " %", age(q.Requested, a.now), short(max(0, q.Deadline.Sub(a.now)))}
		if p.wide {
			rows[i] = append(rows[i], parameters(q.Parameters), q.Request)
		}
	}
	p.table(header, rows)
}

func (a *awaited) names() []string {
	names := make([]string, len(a.Items))
	for i, q := range a.Items {
		names[i] = "aianalysis." + ownGroup + "/" + q.Name
	}
	return names
}

func (a *awaited) lines() []string {
	lines := make([]string, len(a.Items))
	for i, q := range a.Items {
		lines[i] = fmt.Sprintf("%s %s alert=%s target=%s workflow=%s confidence=%d deadline=%s", q.Namespace, q.Name, cell(q.Alert), cell(q.Target), cell(q.Workflow), q.Confidence, q.Deadline.UTC().Format(time.RFC3339))
	}
	return lines
}

func newApprovalsCommand(c *cluster) *cobra.Command {
	var (
		in  scope
		out output
		w   watch
	)
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "List what waits for the decision of a person",
		Long: `List the AIAnalyses that wait for the decision of a person, the one that expires first on top.

Exit status: 0 listed, 2 they could not be listed.`,
		Example: `  kubectl holdfast approvals -A
  kubectl holdfast approvals -A --watch`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := firstOf(out.check(), w.check(&out)); err != nil {
				return err
			}
			return w.run(cmd.Context(), c, &out, func(ctx context.Context) (result, error) {
				a, err := c.awaited(ctx, in)
				if err != nil {
					return nil, err
				}
				return a, nil
			})
		},
	}
	in.addFlags(cmd)
	out.addFlags(cmd, formatName)
	w.addFlags(cmd)
	return cmd
}

func (c *cluster) awaited(ctx context.Context, in scope) (*awaited, error) {
	k, err := c.kindOf(analyses + "." + ownGroup)
	if err != nil {
		return nil, err
	}
	namespace, err := c.namespaceOf(in)
	if err != nil {
		return nil, err
	}
	a := &awaited{Items: []*proposal{}, now: time.Now()}
	err = eachOf(ctx, c, k, namespace, selectors{labels: in.selector}, func(analysis *v1alpha1.AIAnalysis) {
		if undecided(analysis) == "" {
			p := proposalOf(analysis)
			p.recommendation = nil // its text may be long, and there may be many
			a.Items = append(a.Items, p)
		}
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(a.Items, func(a, b *proposal) int { return a.Deadline.Compare(b.Deadline) })
	return a, nil
}

// undecided says why an analysis takes no decision, "" if it does.
func undecided(a *v1alpha1.AIAnalysis) string {
	switch {
	case a.Spec.Decision != nil:
		return fmt.Sprintf("%s has decided already (%s)", a.Spec.Decision.DecidedBy, a.Spec.Decision.Verdict)
	case a.Spec.Cancel:
		return "it was cancelled"
	case a.DeletionTimestamp != nil:
		return "it is being deleted"
	case a.Status.Phase != v1alpha1.AnalysisAwaitingApproval:
		return fmt.Sprintf("its phase is %s, not %s", cell(string(a.Status.Phase)), v1alpha1.AnalysisAwaitingApproval)
	case a.Status.Recommendation == nil:
		return "it has no recommendation"
	}
	return ""
}

// stepsOf are what a recommended workflow does, from the catalogue of this release; "" if it is not there.
func stepsOf(r *v1alpha1.Recommendation) []string {
	all, err := catalogue.Default()
	if err != nil {
		return nil
	}
	workflow, ok := all.Get(r.WorkflowID)
	if !ok {
		return nil
	}
	plan, err := workflow.Render(r.Parameters)
	if err != nil {
		return nil
	}
	steps := make([]string, len(plan.Steps))
	for i, s := range plan.Steps {
		steps[i] = strings.TrimSpace(s.Name + ": " + s.Action + " " + parameters(s.Parameters))
	}
	return steps
}

// firstOf is the first error that is one.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
