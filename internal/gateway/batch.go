package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// found is what targetOf found.
type found struct {
	target v1alpha1.Target
	why    *leftOut
}

// batch is one message: what it has read of the cluster is read once.
type batch struct {
	server    *Server
	exporters memo[string, *leftOut]
	tenants   memo[string, *tenant]
	targets   memo[subject, found]
	shares    memo[incident, *share]
}

// share is an incident within a message. Its alerts take turns, and the first one that finds or creates the open request, or finds that there can be none, has done it for the others: a message with
// a thousand alerts of few workloads needs few round trips.
type share struct {
	turn    *semaphore.Weighted
	outcome *Outcome
	// refused are what became of the rules whose requests the API server refused, and refusals how many alerts had one of them.
	refused  map[*Rule]Outcome
	refusals int
}

// maxRefusals is how many alerts of an incident are held against its rules after the first was refused. Each may take a tenth of a second.
const maxRefusals = 50

// task is an alert to work on. It is not kept decoded, which takes twenty times its text.
type task struct {
	text        json.RawMessage
	about       subject
	fingerprint string
	lane        *lane
	// place in the message, and rank among the alerts of the namespace.
	place, rank int
}

// readAtOnce is how many alerts are decoded at once to find their namespaces.
const readAtOnce = 4

// takeAll decides on the alerts of a message. The namespaces take turns: one with many alerts that take long is no reason for others in the same message to wait.
func (b *batch) takeAll(ctx context.Context, texts []json.RawMessage) []Outcome {
	outcomes := make([]Outcome, len(texts))
	ranks := map[string]int{}
	var tasks []*task
	for i, text := range texts {
		t := &task{text: text, place: i}
		if outcomes[i] = b.guarded(ctx, t, b.sort); outcomes[i].Result == "" {
			t.rank = ranks[t.about.namespace]
			ranks[t.about.namespace]++
			tasks = append(tasks, t)
		}
	}
	lanes, leave := b.server.lanes.enter(maps.Keys(ranks))
	defer leave()
	slices.SortStableFunc(tasks, func(x, y *task) int { return x.rank - y.rank })
	var together errgroup.Group
	together.SetLimit(b.server.config.Limits.Alerts)
	for _, t := range tasks {
		t.lane = lanes[t.about.namespace]
		together.Go(func() error {
			outcomes[t.place] = b.guarded(ctx, t, b.take)
			return nil
		})
	}
	_ = together.Wait() // none fails
	return outcomes
}

// guarded works on an alert. A panic is that alert's alone: the goroutine is not the server's, whose recover would not see it.
func (b *batch) guarded(ctx context.Context, t *task, work func(context.Context, *task) (Outcome, error)) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			b.server.log.Error(fmt.Errorf("panic: %v", p), "Alert not taken, Alertmanager is asked to send it again", "stack", string(debug.Stack()))
			o = Outcome{Result: again, Detail: "internal error"}
		}
		o.Alert = t.fingerprint
	}()
	o, err := work(ctx, t)
	if err != nil {
		if ctx.Err() == nil {
			b.server.log.Error(err, "Alert not taken, Alertmanager is asked to send it again")
		}
		return Outcome{Result: again, Detail: reasonOf(err)}
	}
	return o
}

// sort finds what an alert is about. Its outcome has no result if that is known, and somebody has to work on it.
func (b *batch) sort(ctx context.Context, t *task) (Outcome, error) {
	if err := b.server.reading.Acquire(ctx, 1); err != nil {
		return Outcome{}, err
	}
	defer b.server.reading.Release(1)
	a, why := readAlert(t.text)
	if why != nil {
		return why.outcome(), nil
	}
	t.fingerprint = outbox.Bound(a.Fingerprint, 100)
	if a.Status == resolved {
		return Outcome{Result: isResolved}, nil
	}
	t.about, why = subjectOf(a.Labels)
	return why.outcome(), nil
}

// take works on an alert when there is a slot for it. If another alert of its incident has the turn, it waits for that without a slot.
func (b *batch) take(ctx context.Context, t *task) (Outcome, error) {
	if t.lane == nil {
		return Outcome{Result: again, Namespace: t.about.namespace, Detail: fmt.Sprintf("namespace %s has %d messages under way, as many as one namespace may have", t.about.namespace, b.server.lanes.messages)}, nil
	}
	o, busy, err := b.attempt(ctx, t, nil)
	if busy != nil {
		if err := busy.turn.Acquire(ctx, 1); err != nil {
			return Outcome{}, err
		}
		defer busy.turn.Release(1)
		if busy.outcome != nil {
			o = *busy.outcome
		} else {
			o, _, err = b.attempt(ctx, t, busy)
		}
	}
	o.Namespace = t.about.namespace
	return o, err
}

// attempt works on an alert within a slot. busy is the share of the alert's incident if another alert has the turn; mine is one whose turn the alert has.
func (b *batch) attempt(ctx context.Context, t *task, mine *share) (o Outcome, busy *share, err error) {
	leave, err := b.server.slot(ctx, t.lane)
	if err != nil {
		return Outcome{}, nil, err
	}
	defer leave()
	of, owner, why, err := b.target(ctx, t.about)
	if err != nil || why != nil {
		return why.outcome(), nil, err
	}
	n := incident{t.about.namespace, owner}
	s, err := b.shares.get(n, func() (*share, error) {
		return &share{turn: semaphore.NewWeighted(1), refused: map[*Rule]Outcome{}}, nil
	})
	if err != nil {
		return Outcome{}, nil, err
	}
	if s != mine {
		if !s.turn.TryAcquire(1) {
			return Outcome{}, s, nil
		}
		defer s.turn.Release(1)
	}
	a, why := readAlert(t.text)
	if why != nil {
		return why.outcome(), nil, nil
	}
	o, err = b.ensure(ctx, n, a, of, s)
	return o, nil, err
}

// target is the tenant and the workload of a subject, or why there is none.
func (b *batch) target(ctx context.Context, about subject) (*tenant, v1alpha1.Target, *leftOut, error) {
	if b.server.config.ExportersNeedLabel && about.exported {
		why, err := b.exporters.get(about.exporter, func() (*leftOut, error) { return exporterOf(ctx, b.server.config.Client, about.exporter) })
		if err != nil || why != nil {
			return nil, v1alpha1.Target{}, why, err
		}
	}
	t, err := b.tenants.get(about.namespace, func() (*tenant, error) { return b.tenant(ctx, about.namespace) })
	switch {
	case err != nil:
		return nil, v1alpha1.Target{}, nil, err
	case t.why != nil:
		return nil, v1alpha1.Target{}, t.why, nil
	}
	owner, err := b.targets.get(about, func() (f found, err error) {
		f.target, f.why, err = targetOf(ctx, b.server.config.Client, about)
		return f, err
	})
	return t, owner.target, owner.why, err
}

// ensure is the server's, once for all alerts of an incident that has an open request, and once for each rule whose request is refused.
func (b *batch) ensure(ctx context.Context, n incident, a *alert, t *tenant, s *share) (Outcome, error) {
	if s.outcome != nil {
		return *s.outcome, nil
	}
	rule := sync.OnceValue(func() *Rule { return t.policy.ruleFor(a.Labels) })
	o, known := Outcome{}, false
	if s.refusals > 0 {
		o, known = s.refused[rule()]
	}
	if !known {
		var err error
		if o, err = b.server.ensure(ctx, n, a, rule); err != nil {
			return Outcome{}, err
		}
	}
	switch o.Result {
	case created:
		b.server.metrics.created(a.StartsAt, b.server.now())
		s.outcome = &Outcome{Result: open, Request: o.Request}
	case open, occupied:
		s.outcome = &o
	case account, refused:
		s.refused[rule()] = o
		if s.refusals++; s.refusals == maxRefusals {
			s.outcome = &o
		}
	}
	return o, nil
}

// tenant reads a namespace, and says if its ConfigMap cannot be used.
func (b *batch) tenant(ctx context.Context, namespace string) (*tenant, error) {
	t, err := tenantOf(ctx, b.server.config.Client, namespace)
	if err == nil && t.broken != nil {
		b.server.metrics.broken.Inc()
		b.server.events.broken(namespace, t.broken)
		b.server.log.Info("ConfigMap of a namespace cannot be used", "namespace", namespace, "reason", outbox.Bound(t.broken.Error(), 600))
	}
	return t, err
}
