package condition_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/testenv/alloc"
)

// costsLittle compiles an expression and evaluates it over a hostile target. Whatever it is, this allocates little, spends no more than its budget, and does not panic.
func costsLittle(t *testing.T, expression string, target map[string]any) {
	t.Helper()
	var work, memory uint64
	var evaluated error
	spent := alloc.Bytes(func() {
		c, err := condition.Compile(expression)
		if err != nil {
			if len(err.Error()) > 2048 {
				t.Fatalf("%q is refused with %d bytes", expression, len(err.Error()))
			}
			return
		}
		work, memory, evaluated = c.Spend(t.Context(), target)
	})
	// cel-go looks bytes up in a map by a panic, which it recovers.
	if evaluated != nil && strings.Contains(evaluated.Error(), "internal error") && !strings.Contains(evaluated.Error(), "unhashable type types.Bytes") {
		t.Fatalf("%q panics: %v", expression, evaluated)
	}
	if spent > maxAllocated || work > condition.MaxWork || memory > condition.MaxMemory {
		t.Fatalf("%q allocates %d KiB, works %d and makes %d KiB", expression, spent>>10, work, memory>>10)
	}
}

func FuzzExpression(f *testing.F) {
	for _, expression := range attacks {
		f.Add(expression)
	}
	for _, expression := range useful {
		f.Add(expression)
	}
	target := hostile()
	f.Fuzz(func(t *testing.T, expression string) { costsLittle(t, expression, target) })
}

func FuzzComposedExpression(f *testing.F) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1))
		choices := make([]byte, 10+random.IntN(200))
		for i := range choices {
			choices[i] = byte(random.Uint32())
		}
		f.Add(choices)
	}
	target := hostile()
	f.Fuzz(func(t *testing.T, choices []byte) {
		if len(choices) < 1<<12 {
			costsLittle(t, compose(choices), target)
		}
	})
}
