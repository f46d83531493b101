package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
	"github.com/holdfast-dev/holdfast/outbox"
)

// receive answers one message.
func (s *Server) receive(x *httpapi.Exchange, r *http.Request) {
	if refused := s.admit(r); refused != nil {
		refused.Write(x)
		return
	}
	if !s.messages.TryAcquire(1) {
		s.shed(shedRequests, "the gateway is at its limit of concurrent messages").Write(x)
		return
	}
	defer s.messages.Release(1)
	limit := s.config.Limits.BodyBytes
	weight := limit
	if r.ContentLength >= 0 && r.Header.Get("Content-Encoding") == "" {
		weight = min(weight, r.ContentLength)
	}
	if !s.bytes.TryAcquire(weight) {
		s.shed(shedBytes, "the gateway is at its limit of bytes in memory").Write(x)
		return
	}
	defer s.bytes.Release(weight)
	body, refused := bodyOf(x, r, limit)
	if refused == nil {
		var m *message
		if m, refused = readMessage(body); refused == nil {
			s.answer(x, r, m)
			return
		}
	}
	refused.Write(x)
}

// admit authenticates, and refuses everybody until the ledger is complete.
func (s *Server) admit(r *http.Request) *httpapi.Problem {
	if s.config.Tokens != nil {
		switch err := s.config.Tokens.check(serving.Bearer(r)); {
		case errors.Is(err, errToken):
			return httpapi.NewProblem(http.StatusUnauthorized, "%s", err).With("WWW-Authenticate", "Bearer")
		case err != nil:
			s.log.Error(err, "Tokens cannot be read")
			return httpapi.NewProblem(http.StatusServiceUnavailable, "the tokens cannot be read now").Later(httpapi.NeedsPerson)
		}
	}
	if !s.ledger.synced() {
		return s.shed(shedNotReady, "the requests of the cluster are not known yet")
	}
	return nil
}

func (s *Server) shed(reason, detail string) *httpapi.Problem {
	s.metrics.shed.WithLabelValues(reason).Inc()
	return httpapi.NewProblem(http.StatusServiceUnavailable, "%s", detail).Later(httpapi.Overload)
}

// answer works on all alerts of a message. If it does not know what became of one of them, Alertmanager gets 503 and sends all again.
func (s *Server) answer(x *httpapi.Exchange, r *http.Request, m *message) {
	ctx, cancel := context.WithTimeout(r.Context(), s.config.Limits.Timeout)
	defer cancel()
	b := &batch{server: s}
	answer := &Answer{Alerts: make([]Outcome, len(m.Alerts)), TruncatedAlerts: m.TruncatedAlerts}
	var together errgroup.Group
	for i, text := range m.Alerts {
		if err := s.alerts.Acquire(ctx, 1); err != nil {
			answer.Alerts[i] = b.lost(text, err)
			continue
		}
		together.Go(func() error {
			defer s.alerts.Release(1)
			answer.Alerts[i] = b.take(ctx, text)
			return nil
		})
	}
	_ = together.Wait() // none fails
	s.metrics.count(answer)
	if m.TruncatedAlerts > 0 {
		s.log.Info("Alertmanager left alerts out of a message", "receiver", outbox.Bound(m.Receiver, 100), "group", outbox.Bound(m.GroupKey, 300), "truncatedAlerts", m.TruncatedAlerts)
	}
	x.Noted = append(x.Noted, summary(answer)...)
	if slices.ContainsFunc(answer.Alerts, func(o Outcome) bool { return o.Result == again }) {
		x.Header().Set("Retry-After", strconv.Itoa(int(httpapi.DatabaseAway.Seconds())))
		httpapi.WriteJSON(x, http.StatusServiceUnavailable, "application/json", answer)
		return
	}
	httpapi.WriteJSON(x, http.StatusOK, "application/json", answer)
}

// summary is how many alerts had which result, for the access log, with one example of each that made no request.
func summary(answer *Answer) []any {
	counts, example := map[string]int{}, map[string]string{}
	for _, o := range answer.Alerts {
		counts[o.Result]++
		if _, there := example[o.Result]; !there && o.Detail != "" {
			example[o.Result] = outbox.Bound(o.Detail, 500)
		}
	}
	noted := []any{"alerts", len(answer.Alerts), "results", counts}
	if len(example) > 0 {
		noted = append(noted, "examples", example)
	}
	return noted
}

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
	turn    sync.Mutex
	outcome *Outcome
}

// lost is the outcome of an alert that there was no time for.
func (b *batch) lost(text json.RawMessage, err error) Outcome {
	o := Outcome{Result: again, Detail: reasonOf(err)}
	if a, why := readAlert(text); why == nil {
		o.Alert = outbox.Bound(a.Fingerprint, 100)
	}
	return o
}

// take decides on one alert. A panic is that alert's alone: the goroutine is not the server's, whose recover would not see it.
func (b *batch) take(ctx context.Context, text json.RawMessage) (o Outcome) {
	defer func() {
		if p := recover(); p != nil {
			b.server.log.Error(fmt.Errorf("panic: %v", p), "Alert not taken, Alertmanager is asked to send it again", "stack", string(debug.Stack()))
			o.Result, o.Detail = again, "internal error"
		}
	}()
	a, why := readAlert(text)
	if why != nil {
		return why.outcome()
	}
	alert := outbox.Bound(a.Fingerprint, 100)
	o.Alert = alert
	o, err := b.decide(ctx, a)
	if err != nil {
		if ctx.Err() == nil {
			b.server.log.Error(err, "Alert not taken, Alertmanager is asked to send it again")
		}
		o = Outcome{Result: again, Detail: reasonOf(err)}
	}
	o.Alert = alert
	return o
}

func (b *batch) decide(ctx context.Context, a *alert) (o Outcome, err error) {
	if a.Status == resolved {
		return Outcome{Result: isResolved}, nil
	}
	about, why := subjectOf(a.Labels)
	if why != nil {
		return why.outcome(), nil
	}
	defer func() { o.Namespace = about.namespace }()
	if b.server.config.ExportersNeedLabel && about.exported {
		why, err = b.exporters.get(about.exporter, func() (*leftOut, error) { return exporterOf(ctx, b.server.config.Client, about.exporter) })
		if err != nil || why != nil {
			return why.outcome(), err
		}
	}
	t, err := b.tenants.get(about.namespace, func() (*tenant, error) { return b.tenant(ctx, about.namespace) })
	if err != nil {
		return Outcome{}, err
	}
	if t.why != nil {
		return t.why.outcome(), nil
	}
	owner, err := b.targets.get(about, func() (f found, err error) {
		f.target, f.why, err = targetOf(ctx, b.server.config.Client, about)
		return f, err
	})
	if err != nil {
		return Outcome{}, err
	}
	if owner.why != nil {
		return owner.why.outcome(), nil
	}
	return b.ensure(ctx, incident{about.namespace, owner.target}, a, t)
}

// ensure is the server's, once for all alerts of an incident that has an open request.
func (b *batch) ensure(ctx context.Context, n incident, a *alert, t *tenant) (Outcome, error) {
	s, err := b.shares.get(n, func() (*share, error) { return &share{}, nil })
	if err != nil {
		return Outcome{}, err
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	if s.outcome != nil {
		return *s.outcome, nil
	}
	o, err := b.server.ensure(ctx, n, a, t)
	if err != nil {
		return Outcome{}, err
	}
	switch o.Result {
	case created:
		b.server.metrics.created(a.StartsAt, b.server.now())
		s.outcome = &Outcome{Result: open, Request: o.Request}
	case open, occupied:
		s.outcome = &o
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
