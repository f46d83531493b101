package aside_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/aside"
)

func TestWaitReturnsWhenTheFunctionHas(t *testing.T) {
	done := false
	aside.Go(func() { done = true })()
	NewWithT(t).Expect(done).To(BeTrue())
}

// The stack is that of the function, not that of whoever waits.
func TestAPanicIsRaisedWhereItIsWaitedFor(t *testing.T) {
	g := NewWithT(t)
	wait := aside.Go(hostile)
	g.Expect(wait).To(PanicWith(And(
		HaveField("Cause", "a hostile row"),
		HaveField("String()", And(HavePrefix("a hostile row\n"), ContainSubstring("aside_test.hostile"))))))
}

func hostile() { panic("a hostile row") }
