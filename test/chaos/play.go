//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// wholeTime bounds how long a schedule may take to be whole after its jobs. It bounds a failure.
const wholeTime = 3 * time.Minute

// played is what became of a schedule.
type played struct {
	Number   int            `json:"number"`
	Faults   []string       `json:"faults"`
	Counts   map[string]int `json:"counts"`
	Entries  int            `json:"entriesAppended"`
	Recovery float64        `json:"recoverySeconds"`
	// Report has what was still wrong in the end.
	Report oracle.Report `json:"report"`
	Error  string        `json:"error,omitempty"`
}

func (p *played) clean() bool { return p.Error == "" && p.Report.Clean() }

// play runs one schedule.
func (w *world) play(ctx context.Context, s *schedule) played {
	p := played{Number: s.number, Counts: map[string]int{}}
	for _, f := range s.all() {
		p.Faults = append(p.Faults, f.name)
		p.Counts[f.name]++
	}
	if err := w.playOn(ctx, s, &p); err != nil {
		p.Error = err.Error()
	}
	return p
}

func (w *world) playOn(ctx context.Context, s *schedule, p *played) error {
	st, err := w.newStage(ctx, s)
	if err != nil {
		return err
	}
	err = st.work(ctx, s, p)
	for what, n := range st.counts {
		p.Counts[what] += n
		if fault, ok := strings.CutPrefix(what, notTried); ok {
			p.Counts[fault] -= n
		}
	}
	err = errors.Join(err, st.whole(ctx, p))
	p.Entries = p.Report.Total.Appended
	if w.drain == acrossFailovers {
		err = errors.Join(err, st.verified(ctx, p))
	}
	return errors.Join(err, st.leave(ctx), st.alertsOver(ctx, p))
}

// work runs the jobs and the faults of a schedule, and returns when all of them are over, and what the faults held up is durable.
func (s *stage) work(ctx context.Context, plan *schedule, p *played) error {
	ctx, cancel := context.WithTimeoutCause(ctx, workTime, fmt.Errorf("the jobs took longer than %s", workTime))
	defer cancel()
	var all errgroup.Group // without its context: what one job meets does not end the others
	for _, j := range plan.jobs {
		all.Go(func() error { return s.run(ctx, j) })
	}
	if plan.namespaceGoes > 0 {
		all.Go(func() error { return s.endNamespace(ctx, plan.namespaceGoes) })
	}
	all.Go(func() error {
		var faults errgroup.Group
		faults.Go(func() error { return s.inflict(ctx, plan.faults...) })
		if plan.network != nil {
			faults.Go(func() error { return s.inflict(ctx, *plan.network) })
		}
		return errors.Join(faults.Wait(), s.fix(context.WithoutCancel(ctx)), s.recover(ctx, p))
	})
	return all.Wait()
}

func (s *stage) inflict(ctx context.Context, faults ...planned) error {
	for _, f := range faults {
		s.moment(ctx, f.after)
		if err := f.inflict(ctx, s.world, f.hold); err != nil {
			return fmt.Errorf("fault %s: %w", f.name, err)
		}
	}
	return nil
}

// recover measures how long it takes, after the faults, until all is durable that was appended by then. The jobs go on meanwhile.
func (s *stage) recover(ctx context.Context, p *played) error {
	err := s.durable(ctx)
	p.Recovery = s.longest.Seconds()
	return err
}

// durable returns when all is durable that was appended until now, and notes how long that took.
func (s *stage) durable(ctx context.Context) error {
	begin := time.Now()
	ids := s.oracle.IDs(s.namespace)
	for missing := len(ids); missing > 0; {
		n, err := s.missing(ctx, ids)
		if err == nil {
			missing = n
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d entries are not durable: %w", missing, len(ids), errors.Join(context.Cause(ctx), err))
		}
		pass(ctx, look)
	}
	s.longest = max(s.longest, time.Since(begin))
	return nil
}

// whole waits until every record is closed, and the oracle finds nothing wrong.
func (s *stage) whole(ctx context.Context, p *played) error {
	err := until(ctx, func(ctx context.Context) error {
		if err := errors.Join(s.collect(ctx), s.closed(ctx)); err != nil {
			return err
		}
		report, err := s.judge(ctx, s.namespace)
		if err != nil {
			return err
		}
		report, s.forfeited = s.forgive(report)
		p.Report = report
		if !report.Clean() {
			return fmt.Errorf("the oracle finds %d differences", len(report.Differences))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("not whole: %w", err)
	}
	return nil
}

// until repeats a check until it returns nil. Its error is the last that the check returned in time.
func until(ctx context.Context, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, look, wholeTime, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if ctx.Err() == nil {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("after %s: %w", wholeTime, errors.Join(last, err))
	}
	return nil
}

// collect deletes the children of remediations that are gone, as the garbage collector does, which does not run here: nobody else ends them.
func (s *stage) collect(ctx context.Context) error {
	parents := map[types.UID]bool{}
	return s.each(ctx, func(o outbox.Object) error {
		parents[o.GetUID()] = true // remediations are listed first
		if owner := metav1.GetControllerOf(o); owner == nil || parents[owner.UID] || o.GetDeletionTimestamp() != nil {
			return nil
		}
		return client.IgnoreNotFound(s.client.Delete(ctx, o))
	})
}

// closed returns nil when all records in the namespace have ended.
func (s *stage) closed(ctx context.Context) error {
	return s.each(ctx, func(o outbox.Object) error {
		if out := outboxapi.Get(o); out == nil || !out.Closed {
			return fmt.Errorf("%T %s is not closed", o, o.GetName())
		}
		return nil
	})
}

// leave deletes what is left, and waits until it is gone.
func (s *stage) leave(ctx context.Context) error {
	if err := s.clear(ctx); err != nil {
		return err
	}
	err := until(ctx, func(ctx context.Context) error {
		return s.each(ctx, func(o outbox.Object) error { return fmt.Errorf("%T %s is still there", o, o.GetName()) })
	})
	if err != nil {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// each visits the resources of the namespace until visit returns an error.
func (s *stage) each(ctx context.Context, visit func(outbox.Object) error) error {
	for _, list := range lists() {
		if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
			return err
		}
		err := meta.EachListItem(list, func(item runtime.Object) error { return visit(item.(outbox.Object)) })
		if err != nil {
			return err
		}
	}
	return nil
}

func lists() []client.ObjectList {
	return []client.ObjectList{&v1alpha1.RemediationRequestList{}, &v1alpha1.AIAnalysisList{}, &v1alpha1.WorkflowExecutionList{}, &v1alpha1.NotificationRequestList{}}
}
