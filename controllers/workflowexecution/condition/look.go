package condition

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/holdfast-dev/holdfast/outbox"
)

// Look is one look at a target. All conditions that are evaluated in it share one budget, so twenty of them cost no more than one may.
type Look struct {
	target map[string]any
	left   price
}

// NewLook looks at a target, which no evaluation changes. Nobody else may change it either: an evaluation that was left alone may still read it.
func NewLook(target map[string]any) *Look {
	return &Look{target: target, left: price{work: maxWork, memory: maxMemory}}
}

// Holds evaluates a condition. message says why it does not hold. It returns when ctx ends, and the evaluation then ends at its next step.
//
// An error means that the result is unknown: ErrCost if the evaluation exceeded a limit, else ErrEnded.
func (l *Look) Holds(ctx context.Context, c *Condition) (holds bool, message string, err error) {
	holds, err = c.evaluate(ctx, l.target, &l.left)
	if err != nil && strings.Contains(err.Error(), "no such key") {
		holds, err = c.evaluate(ctx, withCounters(l.target), &l.left)
	}
	switch {
	case errors.Is(err, ErrCost), errors.Is(err, ErrEnded):
		return false, err.Error(), err
	case err != nil:
		return false, "cannot be evaluated: " + outbox.Bound(err.Error(), maxMessage), nil
	case !holds:
		return false, "is false", nil
	}
	return true, "", nil
}

// HoldsNow is Holds for a target that was changed a moment ago: while its controller has not seen the newest spec (status.observedGeneration is below
// metadata.generation) its status tells of the spec before, and no condition holds.
func (l *Look) HoldsNow(ctx context.Context, c *Condition) (holds bool, message string, err error) {
	generation, _, _ := unstructured.NestedInt64(l.target, "metadata", "generation")
	observed, reported, _ := unstructured.NestedInt64(l.target, "status", "observedGeneration")
	if reported && observed < generation {
		return false, fmt.Sprintf("not evaluated: the status is of generation %d, the target's controller has not observed generation %d yet", observed, generation), nil
	}
	return l.Holds(ctx, c)
}
