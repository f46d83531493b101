//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// ledgerOf is a ledger of a fault's own: a workflow that rests in its step, to whose outbox the fault appends.
type ledgerOf struct {
	*stage
	job job
	wfe *v1alpha1.WorkflowExecution
}

func (s *stage) newLedger(ctx context.Context, why string) (*ledgerOf, error) {
	l := &ledgerOf{stage: s, job: job{kind: ledger, name: s.unique(why), bytes: 500, poison: -1}}
	l.wfe = s.object(l.job).(*v1alpha1.WorkflowExecution)
	_, err := s.create(ctx, l.wfe)
	return l, named(l.job, err)
}

// unique is a name for what a fault makes: it may come twice in a schedule.
func (s *stage) unique(why string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return fmt.Sprintf("fault-%d-%s", s.made, why)
}

// write appends so many entries, or as many as there is room for.
func (l *ledgerOf) write(ctx context.Context, entries int) error {
	j := l.job
	j.entries = entries
	return named(j, l.stage.write(ctx, j, l.wfe))
}

// trimmed returns when all that was appended is durable, and has left the resource.
func (l *ledgerOf) trimmed(ctx context.Context) error {
	return until(ctx, func(ctx context.Context) error {
		if err := l.client.Get(ctx, client.ObjectKeyFromObject(l.wfe), l.wfe); err != nil {
			return err
		}
		if out := outboxapi.Get(l.wfe); out == nil || len(out.Entries) > 0 {
			return errors.New("the ledger still holds entries")
		}
		return nil
	})
}

func (l *ledgerOf) end(ctx context.Context) error {
	_, err := l.patch(ctx, l.wfe, `{"spec":{"cancel":true}}`)
	return named(l.job, err)
}

// load has somebody write until it is stopped: entries of a ledger, and a workflow of as many steps as there may be, which fill its outbox while the database is away.
func (s *stage) load(ctx context.Context) (stop func() error) {
	over := make(chan struct{})
	var all errgroup.Group
	all.Go(func() error {
		l, err := s.newLedger(ctx, "load")
		for err == nil {
			select {
			case <-over:
				return l.end(ctx)
			default:
			}
			if err = l.write(ctx, 1); err == nil {
				pass(ctx, look)
			}
		}
		return errors.Join(err, l.end(ctx))
	})
	all.Go(func() error {
		j := job{kind: workflow, name: s.unique("steps"), steps: maxSteps}
		_, err := s.create(ctx, s.object(j))
		return named(j, err)
	})
	return func() error {
		close(over)
		return all.Wait()
	}
}

// maxSteps of a workflow.
const maxSteps = 20
