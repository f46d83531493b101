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

// fill reads all that a report is made of.
func fill(ctx context.Context, q *postgres.Snapshot, in *rar.Input) error {
	if err := fillRows(ctx, q, in); err != nil {
		return err
	}
	request := rar.Request(in)
	if request == nil {
		return nil
	}
	if err := fillRecurrences(ctx, q, in, request); err != nil {
		return err
	}
	return fillHistory(ctx, q, in, request)
}

// fillRows reads the remediation's own rows in full, and counts what others wrote under its id: there may be any number of that.
func fillRows(ctx context.Context, q *postgres.Snapshot, in *rar.Input) (err error) {
	own := []string{}
	if uid, err := models.UUID(in.RemediationID); err == nil {
		own = append(own, uid)
	}
	for named := true; named; { // once more for children that only a dead letter names
		if in.Rows, err = q.ReportRows(ctx, in.RemediationID, own, in.AsOf); err != nil {
			return err
		}
		own = resourcesOf(in, own)
		if in.Resources, in.DeadLetters, err = q.ReportBeside(ctx, own, in.AsOf); err != nil {
			return err
		}
		known := len(own)
		own = resourcesOf(in, own)
		named = len(own) > known
	}
	if len(rar.Resources(in)) == 0 {
		if in.Rows, err = q.ReportPosted(ctx, in.RemediationID, in.AsOf); err != nil {
			return err
		}
	}
	others, err := q.ReportOthers(ctx, in.RemediationID, own, in.AsOf)
	in.Others = othersOf(others)
	return err
}

// resourcesOf are the uids of the resources that the rows are of or name, and those that are known.
func resourcesOf(in *rar.Input, known []string) []string {
	uids := slices.Clone(known)
	for _, text := range rar.Resources(in) {
		if uid, err := models.UUID(text); err == nil {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return slices.Compact(uids)
}

// othersOf adds to those who are named how many rows are left of each table.
func othersOf(all []postgres.Other) []rar.Other {
	var others []rar.Other
	left := map[string]int64{}
	cut := map[string]bool{}
	for _, o := range all {
		others = append(others, rar.Other{Table: o.Table, Namespace: o.SourceNamespace, Name: o.SourceName, SourceUID: o.SourceUID, RecordedBy: o.RecordedBy, Rows: o.N})
		if _, ok := left[o.Table]; !ok {
			left[o.Table] = o.Total
		}
		left[o.Table] -= o.N
		cut[o.Table] = o.Cut
	}
	for table, n := range left {
		if n > 0 || cut[table] {
			others = append(others, rar.Other{Table: table, Rows: n, Rest: true, AtLeast: cut[table]})
		}
	}
	return others
}

// fillRecurrences looks for the same alert on the same target, in the request's own namespace, after its end.
func fillRecurrences(ctx context.Context, q *postgres.Snapshot, in *rar.Input, request *models.OrchestrationRow) error {
	if request.CompletedAt == nil || request.Target == nil {
		return nil
	}
	target, err := json.Marshal(request.Target)
	if err != nil {
		return err
	}
	found, err := q.Recurrences(ctx, request.SignalFingerprint, target, request.CompletedAt.Time, earlier(request.CompletedAt.Add(rar.RecurrenceWindow), in.AsOf))
	for _, r := range found {
		if r.SourceNamespace == request.SourceNamespace && r.SourceCluster == request.SourceCluster {
			in.Recurrences = append(in.Recurrences, rar.Recurrence(r))
		}
	}
	return err
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// fillHistory compares the request with those of the same alert and kind of target, before its signal and after its end.
func fillHistory(ctx context.Context, q *postgres.Snapshot, in *rar.Input, request *models.OrchestrationRow) error {
	if request.SignalContext == nil || request.Target == nil {
		return nil
	}
	received := request.SignalReceivedAt.Time
	var seconds float64
	if request.CompletedAt != nil {
		seconds = request.CompletedAt.Time.Sub(received).Seconds()
	}
	alert, kind := request.SignalContext.Name, request.Target.Kind
	cohort, err := q.Cohort(ctx, alert, kind, received, seconds)
	if err != nil {
		return err
	}
	in.Cohort = &rar.Cohort{N: cohort.N, Success: cohort.Success, Mean: cohort.Mean, NotSlower: cohort.NotSlower}
	if len(cohort.Quantiles) == 2 {
		in.Cohort.P50, in.Cohort.P90 = &cohort.Quantiles[0], &cohort.Quantiles[1]
	}
	cases := func(start, end time.Time) (all []rar.Case, err error) {
		if !start.Before(end) {
			return nil, nil
		}
		found, err := q.Cases(ctx, alert, kind, start, end, rar.MaxCases, in.AsOf)
		for i := range found {
			all = append(all, caseOf(&found[i]))
		}
		return all, err
	}
	if in.Earlier, err = cases(received.Add(-rar.CohortWindow), received); err != nil {
		return err
	}
	if err := fillDeliveries(ctx, q, in); err != nil || request.CompletedAt == nil {
		return err
	}
	in.Later, err = cases(request.CompletedAt.Time, earlier(request.CompletedAt.Add(rar.CohortWindow), in.AsOf))
	return err
}

// fillDeliveries looks at how the channels did before that failed here.
func fillDeliveries(ctx context.Context, q *postgres.Snapshot, in *rar.Input) error {
	channels := rar.FailedChannels(in)
	if len(channels) == 0 || len(in.Earlier) == 0 {
		return nil
	}
	var cases []string
	for _, c := range in.Earlier {
		cases = append(cases, c.ID)
	}
	found, err := q.Deliveries(ctx, cases, channels, in.AsOf)
	for _, d := range found {
		in.Deliveries = append(in.Deliveries, rar.Deliveries(d))
	}
	return err
}

func caseOf(c *postgres.Case) rar.Case {
	return rar.Case{
		Row:           rar.Row{ID: c.ID, SourceUID: c.SourceUID, Sequence: c.Sequence, EntryHash: c.EntryHash},
		RemediationID: c.RemediationID, Outcome: c.Outcome, SignalReceivedAt: c.SignalReceivedAt, CompletedAt: c.CompletedAt, CameBackAt: c.CameBackAt,
		Analysis:     rar.Row{ID: c.AnalysisID, SourceUID: c.AnalysisSourceUID, Sequence: c.AnalysisSequence, EntryHash: c.AnalysisEntryHash},
		Investigator: c.Investigator, RecommendedAction: c.RecommendedAction, ActionConfidence: c.ActionConfidence, InvestigationSeconds: c.InvestigationSeconds,
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
