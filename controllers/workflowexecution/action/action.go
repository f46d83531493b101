package action

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

var (
	// ErrParameter means that the action is unknown, that a parameter is missing, unknown or wrong, or that the target's kind does not support the action. A retry does not help.
	ErrParameter = errors.New("the step is invalid")
	// ErrGone means that the target does not exist, or that another resource has its name. A retry does not help.
	ErrGone = errors.New("the target is gone")
	// ErrNoEffect means that certainly nothing was changed and that the intent is obsolete: a retry plans again.
	ErrNoEffect = errors.New("nothing was changed")
	// ErrChanged is an ErrNoEffect: somebody else changed meanwhile what the action wanted to change.
	ErrChanged = fmt.Errorf("%w, because somebody else changed the target in between", ErrNoEffect)
	// ErrPerson means that the action waits for manual action. A retry does not help.
	ErrPerson = errors.New("manual action is needed")
)

// Permanent reports whether a retry cannot help.
func Permanent(err error) bool {
	return errors.Is(err, ErrParameter) || errors.Is(err, ErrGone) || errors.Is(err, ErrPerson)
}

// Plan is what an action decided to do.
type Plan struct {
	// Nothing is true when the target is already as wanted; then there is no intent.
	Nothing bool
	// Intent is what Apply, Applied and Undo need to know. It stays in the workflow's status.
	Intent map[string]string
	// Previous are the values that Undo restores, for people to read. Empty when there will be nothing to undo.
	Previous map[string]string
	// Adjustments are what will be done differently from what the step says.
	Adjustments []v1alpha1.Adjustment
	// Message says what will be done, or why nothing will be done.
	Message string
}

// Progress is the progress of Apply.
type Progress struct {
	// Done is false while the action waits for something; then apply again later.
	Done bool
	// Message says what was done, or what the action waits for.
	Message string
	// Patience is how long Reached may stay the same before the attempt fails; with 0 only the step's timeout counts.
	Patience time.Duration
	// Reached grows while the action makes progress. It has a meaning only with a Patience.
	Reached int64
}

// Attempt describes the current attempt for Apply.
type Attempt struct {
	// Began is when the attempt began.
	Began time.Time
	// Now is the present time.
	Now time.Time
	// Rolled is true when an earlier step of the workflow has changed the pod template.
	Rolled bool
}

// Action is one parsed step.
type Action interface {
	// Plan reads the target and decides what to do. It changes nothing.
	Plan(ctx context.Context, w Workload, now time.Time) (Plan, error)
	// Apply does the missing part of the intent.
	Apply(ctx context.Context, w Workload, intent map[string]string, attempt Attempt) (Progress, error)
	// Applied only checks whether the intent has taken effect.
	Applied(ctx context.Context, w Workload, intent map[string]string) (bool, error)
	// Undo restores the values that Plan found. undone is false when there was nothing to restore. ErrChanged: the target is neither as Apply left it nor as Plan found it.
	Undo(ctx context.Context, w Workload, intent map[string]string) (undone bool, message string, err error)
}

// Parse checks a step's action and parameters; nothing is read. Errors are ErrParameter, with the parameter's name, its value and what was expected.
func Parse(step v1alpha1.WorkflowStep) (Action, error) {
	p := parameters{action: step.Action, values: step.Parameters}
	var a Action
	switch step.Action {
	case "RestartPods":
		a = &restartPods{selector: p.selector("selector")}
	case "RolloutRestart":
		a = editor{rolloutRestart{}}
	case "RolloutUndo":
		a = editor{rolloutUndo{toRevision: p.integer("toRevision", 0, 1<<53, 0)}}
	case "Scale":
		a = editor{scale{replicas: p.integer("replicas", 0, 1<<31-1, required)}}
	case "SetResources":
		a = editor{p.resources()}
	case "SetImage":
		a = editor{setImage{container: p.text("container"), image: p.image("image")}}
	case "Wait":
		a = p.wait(step.Timeout)
	case "WaitForRollout":
		a = waitForRollout{}
	default:
		return nil, fmt.Errorf("%w: action is %q, expected RestartPods, RolloutRestart, RolloutUndo, Scale, SetResources, SetImage, Wait or WaitForRollout", ErrParameter, step.Action)
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	return a, nil
}

// Parameters lists the names of the parameters that an action knows, nil for an unknown action.
func Parameters(action string) []string {
	switch action {
	case "RestartPods":
		return []string{"selector"}
	case "RolloutRestart", "WaitForRollout":
		return []string{}
	case "RolloutUndo":
		return []string{"toRevision"}
	case "Scale":
		return []string{"replicas"}
	case "SetResources":
		return []string{"container", "memoryLimit", "cpuLimit", "memoryRequest", "cpuRequest", "only"}
	case "SetImage":
		return []string{"container", "image"}
	case "Wait":
		return []string{"for", "seconds"}
	}
	return nil
}
