package reportsapi

import (
	"cmp"
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

// fill reads all that some reports of one instant are made of: their rows, then what stands beside them. How many questions that takes does not depend on how many reports there are, but for
// what is rare. An input without anything that the reader may see stays empty.
func fill(ctx context.Context, q *postgres.Snapshot, inputs []*rar.Input, asOf time.Time) error {
	known := make([]postgres.Known, len(inputs))
	for i, in := range inputs {
		known[i].ID = in.RemediationID
		if uid, err := models.UUID(in.RemediationID); err == nil {
			known[i].UIDs = []string{uid}
		}
	}
	if err := fillKnown(ctx, q, inputs, known, asOf); err != nil {
		return err
	}
	return fillDeliveries(ctx, q, inputs, asOf)
}

// fillKnown does it with the resources that are known, and once more for those of which a dead letter alone names a child.
func fillKnown(ctx context.Context, q *postgres.Snapshot, inputs []*rar.Input, known []postgres.Known, asOf time.Time) error {
	rows, err := q.ReportRows(ctx, known, asOf)
	if err != nil {
		return err
	}
	subjects := make([]postgres.Subject, len(inputs))
	for i, in := range inputs {
		under := cmp.Or(rows[in.RemediationID], &postgres.Under{})
		in.Rows, in.Others = under.Rows, othersOf(under.Others)
		if subjects[i], err = subjectOf(in, known[i]); err != nil {
			return err
		}
		subjects[i].Crowded = under.Crowded
	}
	if err := fillBeside(ctx, q, inputs, subjects, asOf); err != nil {
		return err
	}
	var again []*rar.Input
	var named []postgres.Known
	for i, in := range inputs {
		if more := resourcesOf(in, subjects[i].Known); len(more.UIDs) > len(subjects[i].UIDs) {
			again, named = append(again, in), append(named, more)
			continue
		}
		if err := fillPosted(ctx, q, in); err != nil {
			return err
		}
	}
	if again == nil {
		return nil
	}
	return fillKnown(ctx, q, again, named, asOf)
}

// fillBeside reads what stands beside the rows of some reports. An alert that came back makes a report say more of others, which is read then.
func fillBeside(ctx context.Context, q *postgres.Snapshot, inputs []*rar.Input, subjects []postgres.Subject, asOf time.Time) error {
	for len(inputs) > 0 {
		beside, err := q.Beside(ctx, subjects, rar.CohortWindow, postgres.Limits{Earlier: rar.MaxCases, Later: rar.MaxLaterCases}, asOf)
		if err != nil {
			return err
		}
		var again []*rar.Input
		var more []postgres.Subject
		for i, in := range inputs {
			put(in, &beside[i])
			if subjects[i].Crowded {
				in.Others = othersOf(beside[i].Others)
			}
			next := subjects[i]
			if len(in.Recurrences) == 0 || next.Received.IsZero() { // nothing has changed, or nothing is compared
				continue
			}
			if err := needed(&next, in); err != nil {
				return err
			}
			if next.Needs != subjects[i].Needs {
				again, more = append(again, in), append(more, next)
			}
		}
		inputs, subjects = again, more
	}
	return nil
}

// needed sets what a report needs of others.
func needed(s *postgres.Subject, in *rar.Input) error {
	needs := rar.NeedsOf(in)
	text, err := json.Marshal(needs)
	s.Needs = string(text)
	if s.LaterFrom, s.LaterTo = (time.Time{}), (time.Time{}); needs.Later && !s.Completed.IsZero() {
		s.LaterFrom, s.LaterTo = s.Completed, earlier(s.Completed.Add(rar.CohortWindow), in.AsOf)
	}
	return err
}

// fillPosted reads what was posted, where no resource has rows.
func fillPosted(ctx context.Context, q *postgres.Snapshot, in *rar.Input) (err error) {
	if len(rar.Resources(in)) > 0 || len(in.Others) == 0 {
		return nil
	}
	if in.Rows, err = q.ReportPosted(ctx, in.RemediationID, in.AsOf); err != nil {
		return err
	}
	return compare(ctx, q, in)
}

// compare reads once more what stands beside the rows: it was asked for before these were known.
func compare(ctx context.Context, q *postgres.Snapshot, in *rar.Input) error {
	subject, err := subjectOf(in, postgres.Known{ID: in.RemediationID})
	if err != nil {
		return err
	}
	return fillBeside(ctx, q, []*rar.Input{in}, []postgres.Subject{subject}, in.AsOf)
}

// subjectOf is what a remediation's rows are compared by.
func subjectOf(in *rar.Input, known postgres.Known) (s postgres.Subject, err error) {
	s.Known = resourcesOf(in, known)
	request := rar.Request(in)
	if request == nil || request.Target == nil {
		return s, nil
	}
	if request.SignalContext != nil {
		s.Alert, s.Kind, s.Received = request.SignalContext.Name, request.Target.Kind, request.SignalReceivedAt.Time
	}
	if request.CompletedAt != nil {
		s.Completed = request.CompletedAt.Time
		s.Seconds = s.Completed.Sub(request.SignalReceivedAt.Time).Seconds()
		s.Until, s.Fingerprint, s.Namespace, s.Cluster = earlier(s.Completed.Add(rar.RecurrenceWindow), in.AsOf), request.SignalFingerprint, request.SourceNamespace, request.SourceCluster
		if s.Target, err = json.Marshal(request.Target); err != nil {
			return s, err
		}
	}
	err = needed(&s, in)
	return s, err
}

// put makes what was found a part of the input.
func put(in *rar.Input, b *postgres.Beside) {
	in.Resources, in.DeadLetters = b.Resources, b.DeadLetters
	in.Recurrences, in.Earlier, in.Later = nil, nil, nil
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

// resourcesOf adds the uids of the resources that the rows are of or name to those that are known.
func resourcesOf(in *rar.Input, known postgres.Known) postgres.Known {
	uids := slices.Clone(known.UIDs)
	for _, text := range rar.Resources(in) {
		if uid, err := models.UUID(text); err == nil {
			uids = append(uids, uid)
		}
	}
	slices.Sort(uids)
	return postgres.Known{ID: known.ID, UIDs: slices.Compact(uids)}
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

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// fillDeliveries looks at how the channels did before that failed in these reports.
func fillDeliveries(ctx context.Context, q *postgres.Snapshot, inputs []*rar.Input, asOf time.Time) error {
	all := make([]postgres.Channels, len(inputs))
	for i, in := range inputs {
		if all[i].Channels = rar.FailedChannels(in); len(all[i].Channels) == 0 {
			continue
		}
		for _, c := range in.Earlier {
			all[i].Cases = append(all[i].Cases, c.ID)
		}
	}
	found, err := q.Deliveries(ctx, all, asOf)
	for _, d := range found {
		in := inputs[d.Place]
		in.Deliveries = append(in.Deliveries, rar.Deliveries{Channel: d.Channel, N: d.N, Failed: d.Failed, Lost: d.Lost})
	}
	return err
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
