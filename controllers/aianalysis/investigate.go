package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

const (
	// slotRetry is how soon an analysis asks again for a slot, beside being woken when one is free.
	slotRetry = 5 * time.Second
	// deadlineGrace is how long after an attempt's deadline the controller checks it, beside being woken by its end. By then an attempt of another process is over, too.
	deadlineGrace = 2 * time.Second
	maxBackoff    = time.Minute
)

// errInterrupted is the error of an attempt that another process began and did not finish.
var errInterrupted = errors.New("the controller that asked stopped before it had the answer")

// begin asks for the first time.
func (r *Reconciler) begin(ctx context.Context, s *scope) (ctrl.Result, error) {
	a := s.analysis
	if left(a, s.now) == 0 {
		return r.timeOut(ctx, s, "no investigation could begin in time")
	}
	return r.ask(ctx, s, 2, func() error {
		a.Status.Investigation = &v1alpha1.Investigation{Investigator: investigator.Clean(r.investigator.Name(), 100), Attempt: 1, StartedTime: outboxapi.NewTime(s.now)}
		a.Status.Investigation.ModelConfig = r.modelConfig()
		a.Status.Investigation.DeadlineTime = outboxapi.NewTimePointer(s.now.Add(r.attemptTimeout(s)))
		return r.save(ctx, s, v1alpha1.AnalysisInvestigating, eventStarted, "Asking "+r.investigator.Name()+" what is wrong.")
	}, func() error {
		if a.Status.Phase != "" {
			return nil
		}
		return r.save(ctx, s, v1alpha1.AnalysisPending, eventCreated, "Waiting until another investigation has ended.")
	})
}

// askAgain is the next attempt.
func (r *Reconciler) askAgain(ctx context.Context, s *scope) (ctrl.Result, error) {
	return r.ask(ctx, s, 1, func() error {
		i := s.analysis.Status.Investigation
		i.Attempt++
		i.ModelConfig = r.modelConfig() // this process may be of a newer release than the one that asked before
		i.NextAttemptTime, i.DeadlineTime = nil, outboxapi.NewTimePointer(s.now.Add(r.attemptTimeout(s)))
		return s.draft.Save(ctx, nil)
	}, func() error { return nil })
}

// ask acquires a slot, reserves room for the entries that the answer needs, saves the intent, and only then begins the attempt. Without a slot it calls wait.
func (r *Reconciler) ask(ctx context.Context, s *scope, entries int, intend, wait func() error) (ctrl.Result, error) {
	if r.attempts.Acquire(s.key, 1) == 0 {
		return ctrl.Result{RequeueAfter: slotRetry}, wait()
	}
	begun := false
	defer func() {
		if !begun {
			r.attempts.Release(s.key.Namespace, 1)
		}
	}()
	if err := s.draft.Reserve(ctx, entries); err != nil {
		return ctrl.Result{}, err
	}
	if err := intend(); err != nil {
		return ctrl.Result{}, err
	}
	a := s.analysis
	q := investigator.Request{Namespace: a.Namespace, Target: a.Spec.Target, Signal: *a.Spec.Signal.DeepCopy()}
	timeout := r.attemptTimeout(s)
	begun = true
	r.attempts.Start(ctx, s.attemptKey(), timeout, func(ctx context.Context) answer { return r.answerTo(ctx, q, timeout) })
	return ctrl.Result{RequeueAfter: timeout + deadlineGrace}, nil
}

// modelConfig says what this process asks.
func (r *Reconciler) modelConfig() *v1alpha1.ModelConfig {
	m := &v1alpha1.ModelConfig{CatalogueSHA256: r.catalogue.SHA256()}
	if i, ok := r.investigator.(interface{ Config() investigator.Config }); ok {
		c := i.Config()
		m.Version, m.PromptSHA256 = investigator.Clean(c.Version, 100), c.PromptSHA256
	}
	return m
}

// investigate continues by the state of the current attempt.
func (r *Reconciler) investigate(ctx context.Context, s *scope) (ctrl.Result, error) {
	i := s.analysis.Status.Investigation
	r.attempts.KeepOnly(s.attemptKey())
	answer, state := r.attempts.Look(s.attemptKey())
	switch {
	case i.NextAttemptTime != nil:
		return r.pause(ctx, s)
	case state == pool.Unknown:
		return r.interrupted(ctx, s)
	case state == pool.Running:
		return ctrl.Result{RequeueAfter: max(deadlineGrace, i.DeadlineTime.Sub(outboxapi.NewTimePointer(s.now))+deadlineGrace)}, nil
	}
	return r.conclude(ctx, s, answer)
}

// attemptKey names the current attempt in the pool.
func (s *scope) attemptKey() pool.Key {
	return pool.Key{Resource: s.key, UID: s.analysis.UID, Attempt: s.analysis.Status.Investigation.Attempt}
}

// conclude checks an answer and acts on it.
func (r *Reconciler) conclude(ctx context.Context, s *scope, answer answer) (ctrl.Result, error) {
	i := s.analysis.Status.Investigation
	finding, err := answer.finding, answer.err
	if err == nil {
		finding, err = investigator.Check(r.catalogue, s.analysis.Spec.Target.Kind, finding)
	}
	if err != nil {
		return r.attemptFailed(ctx, s, err, r.settings.backoff<<min(max(i.Attempt, 1)-1, 10)) // anybody who may write the status may have set the number
	}
	s.keep(investigator.Hold(r.catalogue, answer.workload, finding), answer)
	if rec := s.analysis.Status.Recommendation; rec != nil {
		workflow, _ := r.catalogue.Get(rec.WorkflowID)
		rec.Action = workflow.Title
	}
	return r.decide(ctx, s)
}

// interrupted handles an attempt that this process does not run. Another manager may run it, until the deadline. If it counted as failed before that, two managers could interrupt
// each other.
func (r *Reconciler) interrupted(ctx context.Context, s *scope) (ctrl.Result, error) {
	if deadline := s.analysis.Status.Investigation.DeadlineTime; deadline != nil {
		if wait := deadline.Add(deadlineGrace).Sub(s.now); wait > 0 {
			return ctrl.Result{RequeueAfter: wait}, nil
		}
	}
	return r.attemptFailed(ctx, s, errInterrupted, 0)
}

// attemptTimeout is how long an attempt that begins now may take.
func (r *Reconciler) attemptTimeout(s *scope) time.Duration {
	return min(r.settings.attemptTimeout, left(s.analysis, s.now))
}

// keep writes a finding into the status.
func (s *scope) keep(f investigator.Finding, a answer) {
	status := &s.analysis.Status
	status.RootCause, status.RootCauseConfidence, status.NoActionReason = f.RootCause, &f.RootCauseConfidence, f.NoActionReason
	status.Recommendation = nil
	if rec := f.Recommendation; rec != nil {
		status.Recommendation = &v1alpha1.Recommendation{WorkflowID: rec.WorkflowID, Parameters: rec.Parameters, Confidence: rec.Confidence, Rationale: rec.Rationale}
	}
	status.Alternatives = make([]v1alpha1.Alternative, 0, len(f.Alternatives))
	for _, alt := range f.Alternatives {
		status.Alternatives = append(status.Alternatives, v1alpha1.Alternative{Action: alt.Action, Confidence: alt.Confidence, RejectedReason: alt.RejectedReason, WorkflowID: alt.WorkflowID})
	}
	status.Evidence = make([]v1alpha1.Evidence, 0, len(f.Evidence))
	for _, e := range f.Evidence {
		status.Evidence = append(status.Evidence, v1alpha1.Evidence{Tool: e.Tool, Purpose: e.Purpose, Excerpt: e.Excerpt})
	}
	i := status.Investigation
	i.DeadlineTime, i.CompletedTime = nil, outboxapi.NewTimePointer(a.ended)
	i.ResponseTimeMilliseconds = ptr.To(a.ended.Sub(a.started).Milliseconds())
	i.Model, i.PromptTokens, i.CompletionTokens = f.Model, f.PromptTokens, f.CompletionTokens
}

// pause waits for the time of the next attempt.
func (r *Reconciler) pause(ctx context.Context, s *scope) (ctrl.Result, error) {
	i := s.analysis.Status.Investigation
	if left(s.analysis, s.now) == 0 {
		return r.timeOut(ctx, s, "the last error was: "+i.LastError)
	}
	if wait := i.NextAttemptTime.Time.Sub(s.now); wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	return r.askAgain(ctx, s)
}

// attemptFailed records the failure, and what follows: another attempt after the backoff, or the end.
func (r *Reconciler) attemptFailed(ctx context.Context, s *scope, cause error, backoff time.Duration) (ctrl.Result, error) {
	i := s.analysis.Status.Investigation
	i.LastError = investigator.Clean(cause.Error(), investigator.MaxError)
	backoff = min(backoff, maxBackoff)
	switch {
	case left(s.analysis, s.now) <= backoff:
		return r.timeOut(ctx, s, fmt.Sprintf("attempt %d failed and no time is left for another: %s", i.Attempt, i.LastError))
	case i.Attempt >= r.settings.attempts:
		reason := fmt.Sprintf("%s gave no usable answer in %d attempts, the last error was: %s", i.Investigator, i.Attempt, i.LastError)
		return r.finish(ctx, s, v1alpha1.AnalysisFailed, eventFailed, reason, reason)
	}
	i.NextAttemptTime, i.DeadlineTime = outboxapi.NewTimePointer(s.now.Add(backoff)), nil
	if err := r.save(ctx, s, v1alpha1.AnalysisInvestigating, eventAttemptFailed, fmt.Sprintf("Attempt %d failed: %s", i.Attempt, i.LastError)); err != nil {
		return ctrl.Result{}, err
	}
	r.attempts.DropAll(s.key)
	return ctrl.Result{RequeueAfter: max(backoff, time.Millisecond)}, nil
}

func (r *Reconciler) timeOut(ctx context.Context, s *scope, why string) (ctrl.Result, error) {
	reason := fmt.Sprintf("no finding within spec.timeout of %s: %s", s.analysis.Spec.Timeout.Duration, why)
	return r.finish(ctx, s, v1alpha1.AnalysisTimedOut, eventTimedOut, reason, reason)
}

// left is the time that the investigation has left: spec.timeout from its start, before that from the creation of the resource.
func left(a *v1alpha1.AIAnalysis, now time.Time) time.Duration {
	start := a.CreationTimestamp.Time
	if i := a.Status.Investigation; i != nil {
		start = i.StartedTime.Time
	}
	if remaining, ok := lifecycle.Remaining(start, a.Spec.Timeout, now); ok {
		return remaining
	}
	return time.Hour // The CRD has a default; this is for resources older than it.
}
