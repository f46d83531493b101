package condition_test

import (
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
)

// Twenty conditions are looked at together, every second or two.
func TestTheConditionsOfALookShareOneBudget(t *testing.T) {
	g := NewWithT(t)
	target := hostile()
	c, err := condition.Compile("target.spec.numbers.exists(n, n == 12000)")
	g.Expect(err).NotTo(HaveOccurred())
	look := condition.NewLook(target)
	holds, message, err := look.Holds(t.Context(), c)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(holds).To(BeTrue(), message)
	for range 20 {
		if _, _, err = look.Holds(t.Context(), c); err != nil {
			break
		}
	}
	g.Expect(err).To(And(MatchError(condition.ErrCost), MatchError(ContainSubstring("than other conditions left"))))
	_, _, err = condition.NewLook(target).Holds(t.Context(), c)
	g.Expect(err).NotTo(HaveOccurred(), "another look has a budget of its own")
}
