package action

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
)

// wait lets time pass, and then until an expression holds over the live target. It changes nothing, and blocks nobody: Apply looks once.
type wait struct {
	pause      time.Duration
	expression string
	until      *condition.Condition
}

func (a *wait) Plan(context.Context, Workload, time.Time) (Plan, error) {
	return Plan{Message: a.String()}, nil
}

func (a *wait) Apply(ctx context.Context, w Workload, _ map[string]string, attempt Attempt) (Progress, error) {
	if waited := attempt.Now.Sub(attempt.Began); waited < a.pause {
		return Progress{Message: fmt.Sprintf("waiting for %s", a.pause)}, nil
	}
	if a.until == nil {
		return Progress{Done: true, Message: "waited for " + a.pause.String()}, nil
	}
	t, err := w.Get(ctx)
	if err != nil {
		return Progress{}, err
	}
	holds, why, err := condition.NewLook(t.Object).HoldsNow(ctx, a.until)
	switch {
	case errors.Is(err, condition.ErrCost): // to look again would take as much again
		return Progress{}, fmt.Errorf("%w: parameter \"for\" of Wait is %q: %w", ErrParameter, bounded(a.expression), err)
	case err != nil:
		return Progress{}, fmt.Errorf("evaluate %s: %w", bounded(a.expression), err)
	case !holds && w.supports("", workloads...) == nil && strings.Contains(a.expression, "target.status"):
		return Progress{Message: fmt.Sprintf("%s %s; %s", bounded(a.expression), bounded(why), rolloutOf(w, t))}, nil
	case !holds:
		return Progress{Message: bounded(a.expression) + " " + bounded(why)}, nil
	}
	return Progress{Done: true, Message: bounded(a.expression) + " holds"}, nil
}

func (a *wait) Applied(context.Context, Workload, map[string]string) (bool, error) { return false, nil }

func (a *wait) Undo(context.Context, Workload, map[string]string) (bool, string, error) {
	return false, "waiting changed nothing", nil
}

// String says what is waited for.
func (a *wait) String() string {
	switch {
	case a.until == nil:
		return "wait for " + a.pause.String()
	case a.pause == 0:
		return "wait until " + bounded(a.expression)
	}
	return "wait for " + a.pause.String() + ", then until " + bounded(a.expression)
}
