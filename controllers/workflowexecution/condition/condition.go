package condition

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/utils/lru"
)

const (
	// costLimit ends an evaluation that a comprehension over the target cannot need. One comparison costs about 5.
	costLimit = 1_000_000
	// checkEvery so many iterations of a comprehension the context is asked whether to stop.
	checkEvery = 100
	// keptPrograms: a Wait evaluates its expression every second or two, and compiling costs more than evaluating.
	keptPrograms = 256
)

var (
	environment = sync.OnceValues(func() (*cel.Env, error) {
		return cel.NewEnv(
			cel.Variable("target", cel.DynType),
			cel.CrossTypeNumericComparisons(true),
			cel.OptionalTypes(),
			ext.Strings(ext.StringsVersion(2)),
			library.Quantity(),
		)
	})
	programs = lru.New(keptPrograms)
)

// Condition is a compiled expression. It may be used by several goroutines.
type Condition struct{ program cel.Program }

// Compile checks and compiles an expression; the error says where it is wrong.
func Compile(expression string) (*Condition, error) {
	if kept, ok := programs.Get(expression); ok {
		return kept.(*Condition), nil
	}
	env, err := environment()
	if err != nil {
		return nil, fmt.Errorf("set up CEL: %w", err)
	}
	ast, issues := env.Compile(expression)
	if issues.Err() != nil {
		return nil, fmt.Errorf("expression does not compile: %w", issues.Err())
	}
	if out := ast.OutputType(); !out.IsExactType(cel.BoolType) && !out.IsExactType(cel.DynType) {
		return nil, fmt.Errorf("expression gives %s, expected true or false", out)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, fmt.Errorf("expression cannot be planned: %w", err)
	}
	c := &Condition{program: program}
	programs.Add(expression, c)
	return c, nil
}

// Holds evaluates the condition over a target, which it does not change. message says why it does not hold.
func (c *Condition) Holds(ctx context.Context, target map[string]any) (holds bool, message string) {
	holds, err := c.evaluate(ctx, target)
	if err != nil && strings.Contains(err.Error(), "no such key") {
		holds, err = c.evaluate(ctx, withCounters(target))
	}
	switch {
	case err != nil:
		return false, "not to be evaluated: " + err.Error()
	case !holds:
		return false, "is false"
	}
	return true, ""
}

func (c *Condition) evaluate(ctx context.Context, target map[string]any) (bool, error) {
	out, _, err := c.program.ContextEval(ctx, map[string]any{"target": target})
	if err != nil {
		return false, err
	}
	if out.Type() != types.BoolType {
		return false, fmt.Errorf("the expression gave a value of type %s, expected true or false", out.Type().TypeName())
	}
	return out == types.True, nil
}

// counters are the fields of the status that the API server omits while they are zero.
var counters = map[string][]string{
	"Deployment":  {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas", "observedGeneration"},
	"ReplicaSet":  {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas", "observedGeneration"},
	"StatefulSet": {"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration"},
	"DaemonSet": {"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "updatedNumberScheduled",
		"numberAvailable", "numberUnavailable", "observedGeneration"},
}

// withCounters is the target with its missing counters at zero. It shares everything else with the original.
func withCounters(target map[string]any) map[string]any {
	kind, _ := target["kind"].(string)
	names, known := counters[kind]
	if apiVersion, _ := target["apiVersion"].(string); !known || !strings.HasPrefix(apiVersion, "apps/") {
		return target
	}
	old, _ := target["status"].(map[string]any)
	status := make(map[string]any, len(old)+len(names))
	for _, name := range names {
		status[name] = int64(0)
	}
	maps.Copy(status, old)
	filled := maps.Clone(target)
	filled["status"] = status
	return filled
}

// HoldsNow is Holds for a target that was changed a moment ago: while its controller has not seen the newest spec (status.observedGeneration is below
// metadata.generation) its status tells of the spec before, and no condition holds.
func HoldsNow(ctx context.Context, c *Condition, target map[string]any) (holds bool, message string) {
	generation, _, _ := unstructured.NestedInt64(target, "metadata", "generation")
	observed, reported, _ := unstructured.NestedInt64(target, "status", "observedGeneration")
	if reported && observed < generation {
		return false, fmt.Sprintf("not looked at: the status is of generation %d, the target's controller has not seen generation %d yet", observed, generation)
	}
	return c.Holds(ctx, target)
}
