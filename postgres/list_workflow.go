package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// maxRan is how many remediations of a workflow are known by their ids. A list of one that ran more often goes through the window, and finds enough on its way.
	maxRan = 20_000
	// maxStarts is how many a list starts from, and costOfStart is what that costs for each, in rows that a list reads in its order.
	maxStarts   = 5000
	costOfStart = 10
	// maxRare is how many a rare workflow has: its list starts from these without a question.
	maxRare = 200
)

// listWorkflow reads a page of the remediations that ran a workflow. It either starts from these, which are then sorted, or reads the list in its order until the page is full: whichever reads less.
// No statistics say how far that is, so the executions do. They are anybody's, so the way is bounded: where the page is not full at its end, the list starts from the remediations after all.
func (q *Snapshot) listWorkflow(ctx context.Context, b *listing) ([]Summary, error) {
	rows, err := q.ask(ctx, query("list_workflow"), b.Workflow, maxRan+1)
	if err != nil {
		return nil, err
	}
	of, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, &readError{err}
	}
	others := len(b.Namespaces) > 0 || b.Alert != "" || b.Prefix != "" // which have an index that selects more
	if len(of) > maxRan || others && len(of) > maxStarts {
		return q.page(ctx, b)
	}
	b.of = append([]string{}, of...) // none is not NULL
	if others || len(of) <= maxRare {
		return q.page(ctx, b)
	}
	since, near, err := q.near(ctx, b)
	if err != nil {
		return nil, err
	}
	if near {
		along := *b
		along.Start, along.along = since, true
		if page, err := q.page(ctx, &along); err != nil || len(page) == b.Limit || since.Equal(b.Start) {
			return page, err
		}
	}
	b.along = len(of) > maxStarts
	return q.page(ctx, b)
}

// near is back to when a page of the list goes, and whether that reads less than to start from the remediations.
func (q *Snapshot) near(ctx context.Context, b *listing) (since time.Time, near bool, _ error) {
	from := b.End
	if b.After != nil {
		from = b.After.At
	}
	most := costOfStart * min(len(b.of), maxStarts)
	rows, err := q.ask(ctx, query("list_workflow_near"), b.Workflow, b.Start, from, 2*b.Limit, most)
	if err != nil {
		return since, false, err
	}
	read := 0
	err = each(rows, func(rows pgx.Rows) error { return rows.Scan(&since, &read) })
	return since, read < most, err
}
