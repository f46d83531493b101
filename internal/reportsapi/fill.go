package reportsapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/rar"
)

// fill reads all that some reports of one instant are made of: their rows, then what stands beside them. How many questions that takes does not depend on how many reports there are. An
// input without rows that the reader may see stays empty.
func fill(ctx context.Context, q *postgres.Snapshot, inputs []*rar.Input, asOf time.Time) error {
	ids := make([]string, len(inputs))
	for i, in := range inputs {
		ids[i] = in.RemediationID
	}
	rows, err := q.ReportRows(ctx, ids, asOf)
	if err != nil {
		return err
	}
	var found []*rar.Input
	var subjects []postgres.Subject
	for _, in := range inputs {
		if in.Rows = rows[in.RemediationID]; len(in.Rows) == 0 {
			continue
		}
		subject, err := subjectOf(in)
		if err != nil {
			return err
		}
		found, subjects = append(found, in), append(subjects, subject)
	}
	beside, err := q.Beside(ctx, subjects, rar.CohortWindow, postgres.Limits{Earlier: rar.MaxCases, Later: rar.MaxLaterCases}, asOf)
	if err != nil {
		return err
	}
	for i, in := range found {
		put(in, &beside[i])
	}
	return nil
}

// subjectOf is what a remediation's rows are compared by.
func subjectOf(in *rar.Input) (s postgres.Subject, err error) {
	s.UIDs = resourcesOf(in)
	request := rar.Request(in)
	if request == nil || request.Target == nil {
		return s, nil
	}
	if request.SignalContext != nil {
		s.Alert, s.Kind, s.Received = request.SignalContext.Name, request.Target.Kind, request.SignalReceivedAt.Time
	}
	if request.CompletedAt == nil {
		return s, nil
	}
	s.Completed = request.CompletedAt.Time
	s.Seconds = s.Completed.Sub(request.SignalReceivedAt.Time).Seconds()
	s.LaterFrom, s.LaterTo = s.Completed, earlier(s.Completed.Add(rar.CohortWindow), in.AsOf)
	s.Until, s.Fingerprint, s.Namespace, s.Cluster = earlier(s.Completed.Add(rar.RecurrenceWindow), in.AsOf), request.SignalFingerprint, request.SourceNamespace, request.SourceCluster
	s.Target, err = json.Marshal(request.Target)
	return s, err
}

// put makes what was found a part of the input.
func put(in *rar.Input, b *postgres.Beside) {
	in.Resources, in.DeadLetters = b.Resources, b.DeadLetters
	for _, r := range b.Recurrences {
		in.Recurrences = append(in.Recurrences, rar.Recurrence{ID: r.ID, RemediationID: r.RemediationID, SourceCluster: r.SourceCluster, SourceNamespace: r.SourceNamespace, SourceUID: r.SourceUID,
			Sequence: r.Sequence, EntryHash: r.EntryHash, SignalReceivedAt: r.SignalReceivedAt})
	}
	if c := b.Cohort; c != nil {
		in.Cohort = &rar.Cohort{N: c.N, Success: c.Success, Mean: c.Mean, NotSlower: c.NotSlower, Most: postgres.MaxCohort}
		if len(c.Quantiles) == 2 {
			in.Cohort.P50, in.Cohort.P90 = &c.Quantiles[0], &c.Quantiles[1]
		}
	}
	for _, c := range b.Earlier {
		in.Earlier = append(in.Earlier, caseOf(c))
	}
	for _, c := range b.Later {
		in.Later = append(in.Later, caseOf(c))
	}
}

// resourcesOf are the uids of the resources that the rows are of or name.
func resourcesOf(in *rar.Input) []string {
	uids := []string{}
	add := func(text string) {
		if uid, err := models.UUID(text); err == nil {
			uids = append(uids, uid)
		}
	}
	add(in.RemediationID)
	for _, row := range in.Rows {
		add(row.Head().SourceUID)
		if o, ok := row.(*models.OrchestrationRow); ok {
			for _, child := range o.Children {
				add(child.UID)
			}
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func caseOf(c *postgres.Case) rar.Case {
	return rar.Case{
		Row:           rar.Row{ID: c.ID, SourceUID: c.SourceUID, Sequence: c.Sequence, EntryHash: c.EntryHash},
		RemediationID: c.RemediationID, Outcome: c.Outcome, SignalReceivedAt: c.SignalReceivedAt, CompletedAt: c.CompletedAt, CameBackAt: c.CameBackAt,
		Analysis:     rar.Row{ID: c.AnalysisID, SourceUID: c.AnalysisSourceUID, Sequence: c.AnalysisSequence, EntryHash: c.AnalysisEntryHash},
		Investigator: c.Investigator, Model: c.Model, RecommendedAction: c.RecommendedAction, ActionConfidence: c.ActionConfidence, InvestigationSeconds: c.InvestigationSeconds,
		ApprovalStatus: c.ApprovalStatus, ApprovalRequestedAt: c.ApprovalRequestedAt, ApprovalDurationSeconds: c.ApprovalDurationSeconds,
		Execution:  rar.Row{ID: c.ExecutionID, SourceUID: c.ExecutionSourceUID, Sequence: c.ExecutionSequence, EntryHash: c.ExecutionEntryHash},
		WorkflowID: c.WorkflowID, ExecutionOutcome: c.ExecutionOutcome, ExecutionSeconds: c.ExecutionSeconds, RetriesPerformed: c.RetriesPerformed, PostConditionsPassed: c.PostConditionsPassed,
	}
}

// rowHashes name every row of an input, in an order of their own.
func rowHashes(in *rar.Input) []string {
	var all []string
	add := func(table, id string, hash []byte) {
		all = append(all, fmt.Sprintf("%s %s %s", table, id, hex.EncodeToString(hash)))
	}
	for _, row := range in.Rows {
		h := row.Head()
		hash := h.EntryHash
		if hash == nil { // posted: its text is what there is
			sum := sha256.Sum256([]byte(h.Entry))
			hash = sum[:]
		}
		add(row.Table(), h.ID, hash)
	}
	for _, row := range in.Resources {
		add(row.Table(), row.ID, row.EntryHash)
	}
	for _, d := range in.DeadLetters {
		add(models.TableDeadLetter, d.ID, d.EntryHash)
	}
	for _, c := range slices.Concat(in.Earlier, in.Later) {
		add(models.TableOrchestration, c.ID, c.EntryHash)
	}
	for _, r := range in.Recurrences {
		add(models.TableOrchestration, r.ID, r.EntryHash)
	}
	slices.Sort(all)
	return all
}
