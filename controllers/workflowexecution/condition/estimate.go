package condition

import (
	"fmt"
	"math"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/checker"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/types"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/cel/library"
)

// maxEstimate is what an expression may cost by Kubernetes' estimate before it is evaluated at all. It is what Kubernetes allows all rules of a resource
// together. The estimate is for the worst case: a Deployment costs a few 1,000 where the estimate says 10,000,000.
const maxEstimate = celconfig.RuntimeCELCostBudget

// Sizes that the estimate assumes of what nobody knows before the target is read. A target has at most 1.5 MiB, as etcd takes it: three lists in each other of
// 64 items have 262,144 ends, of six bytes each, which is as much as fits. Real ones are smaller: 10 containers, 50 variables, 30 labels. A text of a kilobyte is
// longer than every name, image and condition's message. Larger values are not refused: the evaluation counts what they really cost.
const (
	assumedItems = 64
	assumedText  = 1 << 10
)

// estimator is Kubernetes' estimator, with those sizes and with the functions that it takes for free.
type estimator struct{ library.CostEstimator }

func newEstimator() *estimator {
	return &estimator{library.CostEstimator{SizeEstimator: sizes{}}}
}

// EstimateSize implements checker.CostEstimator.
func (*estimator) EstimateSize(node checker.AstNode) *checker.SizeEstimate {
	return sizes{}.EstimateSize(node)
}

// EstimateCallCost implements checker.CostEstimator.
//
//nolint:gocritic // ptrToRefParam: the interface is cel-go's
func (e *estimator) EstimateCallCost(function, overload string, target *checker.AstNode, args []checker.AstNode) *checker.CallEstimate {
	switch function {
	case "charAt", "format", "size":
		all := args
		if target != nil {
			all = append([]checker.AstNode{*target}, args...)
		}
		return traversal(all)
	}
	return e.CostEstimator.EstimateCallCost(function, overload, target, args)
}

// traversal reads every argument once.
func traversal(args []checker.AstNode) *checker.CallEstimate {
	cost := checker.FixedCostEstimate(1)
	for _, a := range args {
		size := a.ComputedSize()
		if size == nil {
			size = sizes{}.EstimateSize(a)
		}
		if size != nil {
			cost = cost.Add(size.MultiplyByCostFactor(common.StringTraversalCostFactor))
		}
	}
	return &checker.CallEstimate{CostEstimate: cost}
}

// sizes assumes the size of values that come from the target or from functions.
type sizes struct{}

// EstimateSize implements checker.CostEstimator.
func (sizes) EstimateSize(node checker.AstNode) *checker.SizeEstimate { return sizeOf(node.Type()) }

func sizeOf(t *types.Type) *checker.SizeEstimate {
	if t == nil {
		return &checker.SizeEstimate{Max: assumedItems}
	}
	switch t.Kind() {
	case types.StringKind, types.BytesKind:
		return &checker.SizeEstimate{Max: assumedText}
	case types.ListKind, types.MapKind, types.DynKind, types.AnyKind, types.TypeParamKind:
		return &checker.SizeEstimate{Max: assumedItems}
	case types.OpaqueKind:
		if len(t.Parameters()) == 1 { // an optional value
			return sizeOf(t.Parameters()[0])
		}
	}
	return nil
}

// EstimateCallCost implements checker.CostEstimator.
//
//nolint:gocritic // ptrToRefParam: the interface is cel-go's
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}

// checkEstimate refuses an expression that may cost too much.
func checkEstimate(env *cel.Env, checked *cel.Ast) error {
	cost, err := env.EstimateCost(checked, newEstimator())
	if err != nil {
		return fmt.Errorf("estimate what the expression costs: %w", err)
	}
	if cost.Max <= maxEstimate {
		return nil
	}
	text := fmt.Sprint(cost.Max)
	if cost.Max == math.MaxUint64 {
		text = "more than can be counted"
	}
	return fmt.Errorf("expression may cost %s by Kubernetes' estimate, expected at most %d: nest fewer all, exists, map and filter, use shorter texts, or split it into several conditions", text, maxEstimate)
}
