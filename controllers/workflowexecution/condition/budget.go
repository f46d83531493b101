package condition

import (
	"fmt"

	"github.com/google/cel-go/interpreter"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"github.com/holdfast-dev/holdfast/internal/pattern"
)

const (
	// maxWork is how much work the evaluations of one look may do together, in Kubernetes' units of cost: one for a step or a value that is looked at, one for ten
	// bytes of text. It is a fourth of what Kubernetes allows a rule, since a look is taken every second or two; 250,000 take 0.1 s. To look whether every mount
	// of two containers, of twenty each, has a volume, of twenty, takes 6,100.
	maxWork = celconfig.PerCallLimit / 4
	// maxMemory is how much they may take for the values that they make, in bytes, all of them together and whether or not they are still needed.
	maxMemory = 16 << 20
	// maxText is the longest text that a function may put together, in bytes. No text of a target is longer than that target, 1.5 MiB.
	maxText = 1 << 20
	// maxItems is the longest list that a function may make.
	maxItems = 100_000
)

// price is what something takes: work in units of cost, memory in bytes.
type price struct{ work, memory uint64 }

func (p price) plus(others ...price) price {
	for _, o := range others {
		p.work += o.work
		p.memory += o.memory
	}
	return p
}

// budget is what an evaluation may still spend. It belongs to one evaluation, which runs in one goroutine.
//
// It is asked before a call is made, with the arguments at hand, so what is refused was never done.
type budget struct {
	done     <-chan struct{}
	left     price
	patterns map[string]*pattern.Pattern
}

// newBudget is what is available, less the steps that the evaluation takes once.
func newBudget(done <-chan struct{}, available price, once uint64) *budget {
	available.work -= min(once, available.work)
	return &budget{done: done, left: available, patterns: map[string]*pattern.Pattern{}}
}

// spend takes a price off the budget. What exceeds it ends the whole evaluation, since && and || would pass over an error: cel-go recovers this panic, as it
// does its own, and returns it as the evaluation's error.
func (b *budget) spend(p price) {
	select {
	case <-b.done:
		panic(interpreter.EvalCancelledError{Cause: interpreter.ContextCancelled, Message: "evaluation was cancelled"})
	default:
	}
	if p.work > b.left.work {
		tooMuch("it needs more than %d units of work, or more than other conditions left", maxWork)
	}
	if p.memory > b.left.memory {
		tooMuch("its values need more than %d MiB, or more than other conditions left", maxMemory>>20)
	}
	b.left.work -= p.work
	b.left.memory -= p.memory
}

// text takes the price of making a text of that many bytes, and of reading it once.
func (b *budget) text(bytes uint64) price {
	if bytes > maxText {
		tooMuch("a text becomes %d bytes long, expected at most %d", bytes, maxText)
	}
	return price{work: traverse(bytes), memory: bytes}
}

// list takes the price of making a list of that many items.
func (b *budget) list(items uint64) price {
	if items > maxItems {
		tooMuch("a list becomes %d items long, expected at most %d", items, maxItems)
	}
	return price{work: 1 + items/8, memory: perList + items*perItem}
}

func tooMuch(format string, args ...any) {
	panic(interpreter.EvalCancelledError{Cause: interpreter.CostLimitExceeded, Message: "evaluation was ended: " + fmt.Sprintf(format, args...)})
}

// traverse is the work of reading that many bytes of text once.
func traverse(bytes uint64) uint64 { return 1 + bytes/10 }
