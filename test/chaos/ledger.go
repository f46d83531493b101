//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// hostile is text as models write it: what is not storable is repaired before it is hashed.
const hostile = "NUL \x00, invalid \xff, \\u0000, ?0, 😀, \u2028, <b>&amp;</b> ' \" \\ "

// write appends entries to a workflow that rests in its step, through the outbox library, beside the manager that works on the same resource. It stops at
// a full outbox, unless the relay makes room in time.
func (s *stage) write(ctx context.Context, j job, wfe *v1alpha1.WorkflowExecution) error {
	limits := entry.DefaultLimits()
	limits.HardEntries = hardEntries
	w := outbox.NewWriter(s.client, s.client, (&testenv.Watermarks{}).WithLimits(limits))
	for i, full := 0, 0; i < j.entries; {
		if ok, err := s.persist(ctx, func(ctx context.Context) error { return s.client.Get(ctx, client.ObjectKeyFromObject(wfe), wfe) }); !ok {
			return err
		}
		var err error
		if len(wfe.Status.Steps) > 0 || wfe.Status.Phase.Final() {
			err = w.Draft(wfe).Save(ctx, j.change(wfe, i))
		} else {
			err = errNotYet
		}
		switch {
		case err == nil:
			if i == j.poison {
				s.note(poisoned)
			}
			i, full = i+1, 0
		case errors.Is(err, entry.ErrClosed), errors.Is(err, outbox.ErrReleased):
			return nil
		case errors.Is(err, entry.ErrFull):
			if full++; full == 1 {
				s.note(atItsLimit)
			}
			if full > 20 {
				return nil
			}
			pass(ctx, retry)
		case errors.Is(err, entry.ErrInvalid), errors.Is(err, entry.ErrTooLarge), apierrors.IsInvalid(err):
			return fmt.Errorf("append entry %d: %w", i, err)
		case ctx.Err() != nil:
			return fmt.Errorf("append entry %d: %w: %w", i, context.Cause(ctx), err)
		default: // a conflict, or a server that is away: what happened shows in the resource
			pass(ctx, look)
		}
	}
	return nil
}

// foreignKind is the kind of some entries of ledgers, as another operator's would be.
const foreignKind = "ledgers.chaos.example.com"

var errNotYet = errors.New("the workflow does not run yet")

// change is the entry at an index: every third goes to the table of foreign kinds, and the poisoned one to a table that refuses it.
func (j job) change(wfe *v1alpha1.WorkflowExecution, index int) *entry.Change {
	record := map[string]any{
		"remediation_id": string(wfe.Spec.RemediationRef.UID), "workflow_id": "ledger", "execution_started_at": wfe.CreationTimestamp.Time,
		"total_steps": index, "failure_reason": hostile + strings.Repeat("x", j.bytes),
	}
	c := &entry.Change{Kind: entry.KindExecution, Event: "Noted", Phase: "Executing", Record: record}
	switch {
	case index == j.poison && index%2 == 0:
		record["execution_started_at"] = "yesterday" // no row can be made of it
	case index == j.poison:
		record["total_steps"] = 1 << 40 // PostgreSQL refuses the row
	case index%3 == 2:
		c.Kind = foreignKind
	}
	return c
}
