//go:build unix

package demo

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// Count is the verdict on the resources of one kind.
type Count struct {
	Kind        string `json:"kind"`
	Resources   int    `json:"resources"`
	Appended    int    `json:"entriesAppended"`
	Rows        int    `json:"rowsFound"`
	DeadLetters int    `json:"deadLetters"`
	Lost        int    `json:"lost"`
	Doubled     int    `json:"doubled"`
}

// Verdict compares what was appended with what is stored.
type Verdict struct {
	Kinds []Count `json:"kinds"`
	Total Count   `json:"total"`
	// Faults has one line for each difference that the oracle found.
	Faults []string `json:"faults"`
}

// Clean reports whether every entry is there exactly once, unaltered and in its place.
func (v Verdict) Clean() bool { return len(v.Faults) == 0 }

// newVerdict lists the four kinds in their order, with zeros for a kind that the oracle did not see.
func newVerdict(report oracle.Report) Verdict {
	v := Verdict{Total: newCount(report.Total), Faults: []string{}} // [] in JSON, not null
	found := map[string]oracle.Counts{}
	for _, c := range report.Kinds {
		found[c.Kind] = c
	}
	for _, k := range kinds {
		c := found[k.name]
		c.Kind = k.name
		v.Kinds = append(v.Kinds, newCount(c))
	}
	for _, difference := range report.Differences {
		v.Faults = append(v.Faults, difference.String())
	}
	return v
}

func newCount(c oracle.Counts) Count {
	return Count{Kind: c.Kind, Resources: c.Resources, Appended: c.Appended, Rows: c.Rows, DeadLetters: c.DeadLetters, Lost: c.Lost, Doubled: c.Doubled}
}

// verdict holds what the oracle saw against the tables.
func (d *demo) verdict(ctx context.Context) error {
	d.heading("11 Verdict: entries seen by the witness, compared with the tables")
	err := poll(ctx, "the witness has caught up with the API server", 30*time.Second, func(ctx context.Context) (bool, string, error) {
		behind := d.oracle.CaughtUp(ctx)
		return behind == nil, fmt.Sprint(behind), nil
	})
	if err != nil {
		return err
	}
	var report oracle.Report
	err = d.ledger.connected(ctx, func(ctx context.Context, connection *pgx.Conn) (err error) {
		report, err = d.oracle.Judge(ctx, connection)
		return err
	})
	if err != nil {
		return err
	}
	v := newVerdict(report)
	d.summary.Verdict = v
	table := [][]string{{"", " resources", " entries appended", " rows found", " dead letters", " lost", " doubled"}}
	for _, c := range append(v.Kinds, v.Total) {
		row := []string{c.Kind}
		for _, n := range []int{c.Resources, c.Appended, c.Rows, c.DeadLetters, c.Lost, c.Doubled} {
			row = append(row, strconv.Itoa(n))
		}
		table = append(table, row)
	}
	d.table(table)
	for _, fault := range v.Faults {
		d.print("   " + d.paint(red, fault) + "\n")
	}
	if !v.Clean() {
		return fmt.Errorf("%w: %d differences, %d entries lost and %d stored twice among them", ErrNotClean, len(v.Faults), v.Total.Lost, v.Total.Doubled)
	}
	d.print(d.paint(green, "\n   No entry was lost or stored twice. Every sequence is gapless from 1, and every hash matches the resource.\n"))
	return nil
}
