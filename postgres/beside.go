package postgres

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/models"
)

// Bounds of what is compared, so that a report costs the same in a table of any size.
const (
	// MaxCohort is how many of a cohort are counted, the newest.
	MaxCohort = 200
	// MaxRecurrences is how many returns of an alert are listed, the first.
	MaxRecurrences = 100
)

// Subject is a remediation that others are compared with: what its request says. What is zero is not asked for.
type Subject struct {
	// Known has the uids of its resources: rows of other kinds and dead letters of these are looked for.
	Known
	// Crowded is that of Under: the rows of others under its id are counted.
	Crowded bool
	// Alert, Kind and Received are what its cohort is found by; Seconds is how long it took.
	Alert, Kind string
	Received    time.Time
	Seconds     float64
	// Needs is of which of its cases the execution and the return are read, in JSON, as cohort_cases.sql has it.
	Needs string
	// LaterFrom and LaterTo are the window, after its end, of the cases that are listed beside the earlier ones.
	LaterFrom, LaterTo time.Time

	// Completed and the following are what returns of its alert are found by.
	Completed, Until                time.Time
	Fingerprint, Namespace, Cluster string
	Target                          json.RawMessage
}

// Beside is what stands beside the rows of one remediation.
type Beside struct {
	Resources      []*models.ResourceRow
	DeadLetters    []models.DeadLetter
	Others         []Other
	Recurrences    []Recurrence
	Cohort         *Cohort
	Earlier, Later []*Case
}

// Limits are how many cases are read one by one, on each side of a remediation.
type Limits struct{ Earlier, Later int }

// Beside reads what stands beside some remediations, in their order, in one round trip. Nothing of it is read for each of them.
func (q *Snapshot) Beside(ctx context.Context, subjects []Subject, window time.Duration, limits Limits, asOf time.Time) ([]Beside, error) {
	b := &besides{subjects: subjects, found: make([]Beside, len(subjects)), byUID: map[string][]int{}, asOf: asOf, readable: &q.readable}
	return b.found, q.pipeline(ctx, b.standing(), b.others(), b.returned(), b.compared(), b.earlier(window, limits.Earlier), b.later(limits.Later))
}

// batched is a query of a pipeline, and who reads its answer. One without arguments is not asked.
type batched struct {
	text      string
	arguments []any
	read      func(pgx.Rows) error
}

// pipeline asks questions in one round trip, restricted to what the reader may see. Planning them takes several times as long as running them, so a session keeps their plans, unless the URL
// forbids it (default_query_exec_mode=cache_describe, for poolers in transaction mode).
func (q *Snapshot) pipeline(ctx context.Context, questions ...batched) (err error) {
	batch := &pgx.Batch{}
	batch.Queue("SET LOCAL plan_cache_mode = force_generic_plan") // a plan that is kept is made for any arguments
	var asked []batched
	for _, one := range questions {
		if one.arguments == nil {
			continue
		}
		text, arguments := q.readable.restrict(one.text, one.arguments)
		batch.Queue(text, arguments...)
		asked = append(asked, one)
	}
	if len(asked) == 0 {
		return nil
	}
	batch.Queue("SET LOCAL plan_cache_mode = auto") // other questions have plans for theirs
	q.asked += len(asked)
	answers := q.conn.SendBatch(ctx, batch)
	defer func() {
		if closed := answers.Close(); err == nil && closed != nil {
			err = &readError{closed}
		}
	}()
	if _, err := answers.Exec(); err != nil {
		return &readError{err}
	}
	for _, one := range asked {
		rows, err := answers.Query()
		if err != nil {
			return &readError{err}
		}
		if err := one.read(rows); err != nil {
			return err
		}
	}
	return nil
}

// besides collects what stands beside some remediations.
type besides struct {
	subjects []Subject
	found    []Beside
	byUID    map[string][]int
	asOf     time.Time
	readable *Readable
}

// standing asks for rows of other kinds and for dead letters, by resource. A dead letter that was redriven later than asOf waits, as of then.
func (b *besides) standing() batched {
	uids := []string{}
	for i := range b.subjects {
		for _, uid := range b.subjects[i].UIDs {
			if b.byUID[uid] == nil {
				uids = append(uids, uid)
			}
			b.byUID[uid] = append(b.byUID[uid], i)
		}
	}
	if len(uids) == 0 {
		return batched{}
	}
	return batched{query("report_beside"), []any{uids, b.asOf}, func(rows pgx.Rows) error { return newSize(len(b.subjects)).columns(rows, b.stands) }}
}

func (b *besides) stands(relation, _ string, columns []byte) error {
	if relation == models.TableDeadLetter {
		d, err := models.DeadLetterFromColumns(columns)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
		if !b.readable.SeesLetter(&d) {
			return nil
		}
		if d.RedrivenAt != nil && d.RedrivenAt.After(b.asOf) {
			d.RedrivenAt = nil
		}
		for _, i := range b.byUID[d.SourceUID] {
			b.found[i].DeadLetters = append(b.found[i].DeadLetters, d)
		}
		return nil
	}
	row, err := readable(relation, columns)
	if err != nil {
		return err
	}
	if resource, ok := row.(*models.ResourceRow); ok && b.readable.Sees(row.Head()) {
		for _, i := range b.byUID[resource.SourceUID] {
			b.found[i].Resources = append(b.found[i].Resources, resource)
		}
	}
	return nil
}

// others asks whose rows stand under the ids beside those of the remediations' own resources, where so many stand there that these were not looked at. It is asked even if there is no such id:
// the number of questions says nothing about rows that the reader may not see.
func (b *besides) others() batched {
	ids := []string{}
	var known []Known
	at := map[string]places{} // an id may be asked for twice: a UUID is written in several ways
	for i := range b.subjects {
		s := &b.subjects[i]
		if !s.Crowded {
			continue
		}
		if at[s.ID] == nil {
			ids, known = append(ids, s.ID), append(known, s.Known)
		}
		at[s.ID] = append(at[s.ID], i)
	}
	of, uids := pairs(known)
	return batched{query("report_others"), []any{ids, of, uids, b.asOf, maxOtherRows + 1, maxOthers, nil}, func(rows pgx.Rows) error {
		all, err := collect[Other](rows, nil)
		for _, o := range all {
			o.Cut = o.Total > maxOtherRows
			for _, i := range at[o.ID] {
				b.found[i].Others = append(b.found[i].Others, o)
			}
		}
		return err
	}}
}

// places are the subjects that a question is about, in its order.
type places []int

// returned asks whether the alerts came back.
func (b *besides) returned() batched {
	var at places
	var fingerprints, targets, namespaces, clusters []string
	var after, until []time.Time
	for i := range b.subjects {
		if s := &b.subjects[i]; !s.Completed.IsZero() && s.Target != nil {
			at = append(at, i)
			fingerprints, targets, namespaces, clusters = append(fingerprints, s.Fingerprint), append(targets, string(s.Target)), append(namespaces, s.Namespace), append(clusters, s.Cluster)
			after, until = append(after, s.Completed), append(until, s.Until)
		}
	}
	if at == nil {
		return batched{}
	}
	return batched{query("recurrence"), []any{fingerprints, targets, namespaces, clusters, after, until, MaxRecurrences, nil}, func(rows pgx.Rows) error {
		all, err := collect[Recurrence](rows, nil)
		for _, r := range all {
			found := &b.found[at[r.Place-1]]
			found.Recurrences = append(found.Recurrences, r)
		}
		return err
	}}
}

// comparable are the subjects that have an alert and a kind of target, and arguments of both.
func (b *besides) comparable(which func(*Subject) bool) (at places, alerts, kinds []string) {
	for i := range b.subjects {
		if s := &b.subjects[i]; !s.Received.IsZero() && which(s) {
			at, alerts, kinds = append(at, i), append(alerts, s.Alert), append(kinds, s.Kind)
		}
	}
	return at, alerts, kinds
}

// compared asks for the cohorts' figures.
func (b *besides) compared() batched {
	at, alerts, kinds := b.comparable(func(*Subject) bool { return true })
	if at == nil {
		return batched{}
	}
	var received []time.Time
	var seconds []float64
	for _, i := range at {
		received, seconds = append(received, b.subjects[i].Received), append(seconds, b.subjects[i].Seconds)
	}
	return batched{query("cohort"), []any{alerts, kinds, received, seconds, MaxCohort, b.asOf, nil}, func(rows pgx.Rows) error {
		all, err := collect[Cohort](rows, nil)
		for i := range all {
			b.found[at[all[i].Place-1]].Cohort = &all[i]
		}
		return err
	}}
}

// earlier asks for the newest cases of the cohorts.
func (b *besides) earlier(window time.Duration, limit int) batched {
	at, alerts, kinds := b.comparable(func(*Subject) bool { return true })
	return b.cases(at, alerts, kinds, limit, func(s *Subject) (from, to time.Time) { return s.Received.Add(-window), s.Received }, func(f *Beside) *[]*Case { return &f.Earlier })
}

// later asks for the newest cases after the ends.
func (b *besides) later(limit int) batched {
	at, alerts, kinds := b.comparable(func(s *Subject) bool { return s.LaterFrom.Before(s.LaterTo) })
	return b.cases(at, alerts, kinds, limit, func(s *Subject) (from, to time.Time) { return s.LaterFrom, s.LaterTo }, func(f *Beside) *[]*Case { return &f.Later })
}

func (b *besides) cases(at places, alerts, kinds []string, limit int, window func(*Subject) (from, to time.Time), list func(*Beside) *[]*Case) batched {
	if at == nil {
		return batched{}
	}
	var from, to []time.Time
	var needs []string
	for _, i := range at {
		s := &b.subjects[i]
		start, end := window(s)
		from, to, needs = append(from, start), append(to, end), append(needs, cmp.Or(s.Needs, "{}"))
	}
	return batched{query("cohort_cases"), []any{alerts, kinds, from, to, needs, limit, b.asOf, maxPosted, nil}, func(rows pgx.Rows) error {
		all, err := collect[Case](rows, nil)
		for i := range all {
			for _, place := range all[i].Places {
				found := list(&b.found[at[place-1]])
				*found = append(*found, &all[i])
			}
		}
		return err
	}}
}
