package action

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// waitForRollout waits until the target's pods are of its template and available. It changes nothing. It gives up when it sees that a person is needed; when the rollout
// has stood still for too long its caller does.
type waitForRollout struct{}

func (waitForRollout) Plan(_ context.Context, w Workload, _ time.Time) (Plan, error) {
	if err := w.supports("WaitForRollout", workloads...); err != nil {
		return Plan{}, err
	}
	return Plan{Message: "wait for the rollout"}, nil
}

func (waitForRollout) Apply(ctx context.Context, w Workload, _ map[string]string, attempt Attempt) (Progress, error) {
	if err := w.supports("WaitForRollout", workloads...); err != nil {
		return Progress{}, err
	}
	t, err := w.Get(ctx)
	if err != nil {
		return Progress{}, err
	}
	r := rolloutOf(w, t)
	if r.done() && (!attempt.Rolled || r.old == 0 && r.kept(0) == 0) {
		return Progress{Done: true, Message: r.String()}, nil
	}
	pods := podsSeen(ctx, w, t)
	if kept := r.kept(pods.old); attempt.Rolled && kept > 0 || r.paused && !r.done() {
		return Progress{}, fmt.Errorf("%w: %s; %s", ErrPerson, r.person(kept), r)
	}
	return Progress{Message: r.String() + pods.String(), Reached: r.reached(), Patience: r.patience}, nil
}

func (waitForRollout) Applied(context.Context, Workload, map[string]string) (bool, error) {
	return false, nil
}

func (waitForRollout) Undo(context.Context, Workload, map[string]string) (bool, string, error) {
	return false, "waiting changed nothing", nil
}

// Describe says how far the rollout of a target is and what is wrong with its pods, "" if it is no workload.
func Describe(ctx context.Context, w Workload, target map[string]any) string {
	if w.supports("", workloads...) != nil {
		return ""
	}
	t := &unstructured.Unstructured{Object: target}
	return rolloutOf(w, t).String() + podsSeen(ctx, w, t).String()
}
