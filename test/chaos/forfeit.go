//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/util/sets"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// trustTime is how long after a failover something may be trimmed that only the database before has: controllers believe an answer of the database for three seconds, and an idle relay asks
// every second.
const trustTime = 4 * time.Second

// forfeit notes what may be lost from now on, after a failover at a moment: what the primary before had, the one now has not, and no resource holds any more. Everything else must be stored in the
// end: what was never acknowledged, and what resources still hold when the relay must have noticed.
func (s *stage) forfeit(ctx context.Context, before *localcluster.Postgres, switched time.Time) error {
	if err := s.revive(ctx, before); err != nil { // nobody is led there
		return fmt.Errorf("look into the primary before: %w", err)
	}
	c, err := pgx.Connect(ctx, before.URL())
	if err != nil {
		return fmt.Errorf("look into the primary before: %w", err)
	}
	had, err := oracle.Stored(ctx, c)
	if err := errors.Join(err, c.Close(ctx)); err != nil {
		return fmt.Errorf("look into the primary before: %w", err)
	}
	has, err := ask(ctx, s.world, func(c *pgx.Conn) ([]string, error) { return oracle.Stored(ctx, c) })
	if err != nil {
		return err
	}
	pass(ctx, time.Until(switched.Add(trustTime)))
	if err := until(ctx, s.oracle.CaughtUp); err != nil {
		return err
	}
	acknowledged := sets.New(had...).Difference(sets.New(has...))
	s.lost = s.lost.Union(acknowledged.Difference(sets.New(s.oracle.Held(s.namespace)...)))
	s.lossy[s.namespace] = true
	return nil
}

// forgive leaves out of a report what was forfeited.
func (w *world) forgive(r oracle.Report) (_ oracle.Report, lost []oracle.Difference) {
	forfeited := func(d oracle.Difference) bool { return d.Class == oracle.Lost && w.lost.Has(d.ID) }
	for _, d := range r.Differences {
		if forfeited(d) {
			lost = append(lost, d)
		}
	}
	return r.Without(forfeited), lost
}

// finding is one of `holdfast verify -o json`.
type finding struct {
	Problem, Namespace, Name, UID, Detail string
	Sequence                              int64
}

// verified asks `holdfast verify`: it finds nothing where nothing was lost, and names every entry that was.
func (s *stage) verified(ctx context.Context, p *played) error {
	found, err := s.verify(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	for _, f := range found {
		if !s.lossy[f.Namespace] {
			wrong = append(wrong, fmt.Errorf("verify finds %s: %s/%s (%s) entry %d: %s", f.Problem, f.Namespace, f.Name, f.UID, f.Sequence, f.Detail))
		}
	}
	for _, d := range s.forfeited {
		switch named, err := s.named(ctx, d, found); {
		case err != nil:
			wrong = append(wrong, err)
		case named:
			p.Counts[forfeitedNamed]++
		default:
			p.Counts[forfeitedWhole]++
		}
	}
	return errors.Join(wrong...)
}

// Names under which lost entries are counted. The second ones are of resources that are gone with their whole chain, which nobody can know of.
const (
	forfeitedNamed = "entries lost by an asynchronous failover, named by verify"
	forfeitedWhole = "entries lost by an asynchronous failover, with their whole chain"
)

func (s *stage) verify(ctx context.Context) ([]finding, error) {
	// Every third entry of a ledger is of a kind that verify does not know. Where one is the newest, it has to be told what it belongs to.
	cmd := exec.CommandContext(ctx, s.program, "verify", "-o", "json", "--resource", foreignKind+"=workflowexecutions.v1alpha1.holdfast.dev")
	cmd.Env = []string{"HOLDFAST_DATABASE_URL=" + s.postgres.URL(), "KUBECONFIG=" + s.cluster.Kubeconfig()}
	out, err := cmd.Output()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) && exit.ExitCode() == 1 {
		err = nil
	} else if errors.As(err, &exit) {
		err = fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	if err != nil {
		return nil, fmt.Errorf("holdfast verify: %w", err)
	}
	var report struct{ Findings []finding }
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("holdfast verify: %w", err)
	}
	return report.Findings, nil
}

var missingEntries = regexp.MustCompile(`^entr(?:y|ies) (\d+)(?: to (\d+))?:`)

// covers reports whether a finding says that an entry is not there.
func (f finding) covers(d oracle.Difference) bool {
	if f.UID != d.UID {
		return false
	}
	if f.Problem == "unfinished" {
		return f.Sequence < d.Sequence
	}
	span := missingEntries.FindStringSubmatch(f.Detail)
	if f.Problem != "missing" || span == nil {
		return false
	}
	from, _ := strconv.ParseInt(span[1], 10, 64)
	to := from
	if span[2] != "" {
		to, _ = strconv.ParseInt(span[2], 10, 64)
	}
	return from <= d.Sequence && d.Sequence <= to
}

// named reports whether verify names a lost entry. It is an error if not, unless the resource is gone with all of its rows.
func (s *stage) named(ctx context.Context, d oracle.Difference, found []finding) (bool, error) {
	for _, f := range found {
		if f.covers(d) {
			return true, nil
		}
	}
	there := false
	err := s.each(ctx, func(o outbox.Object) error {
		there = there || string(o.GetUID()) == d.UID
		return nil
	})
	if err != nil {
		return false, err
	}
	rows, err := ask(ctx, s.world, func(c *pgx.Conn) (int, error) { return oracle.RowsOf(ctx, c, d.UID) })
	if err != nil {
		return false, err
	}
	if there || rows > 0 {
		return false, fmt.Errorf("verify does not name a lost entry: %s", d)
	}
	return false, nil
}
