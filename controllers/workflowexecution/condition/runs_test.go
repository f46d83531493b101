package condition

import (
	"context"
	"testing"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	. "github.com/onsi/gomega"
)

// stuck is a setting in which block() does not return before release.
type stuck struct {
	*setting
	started chan struct{}
	release chan struct{}
}

func newStuck(t *testing.T) *stuck {
	t.Helper()
	s := &stuck{started: make(chan struct{}, 10), release: make(chan struct{})}
	plain, err := standard()
	if err != nil {
		t.Fatal(err)
	}
	env, err := plain.env.Extend(cel.Function("block", cel.Overload("block", nil, cel.BoolType, cel.FunctionBinding(func(...ref.Val) ref.Val {
		s.started <- struct{}{}
		<-s.release
		return types.True
	}))))
	if err != nil {
		t.Fatal(err)
	}
	if s.setting, err = newSetting(env); err != nil {
		t.Fatal(err)
	}
	return s
}

// condition is one whose evaluations are bounded by what is given rather than by the process.
func (s *stuck) condition(t *testing.T, expression string, bounded *together) *Condition {
	t.Helper()
	c, err := s.compile(expression)
	if err != nil {
		t.Fatal(err)
	}
	c.runs.together = bounded
	return c
}

// leave begins an evaluation that gets stuck, and ends its context.
func (s *stuck) leave(t *testing.T, c *Condition) error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() {
		_, _, err := NewLook(nil).Holds(ctx, c)
		returned <- err
	}()
	<-s.started
	cancel()
	return <-returned
}

// rest waits until no evaluation is under way: an evaluation gives its slot back when it really ends.
func (b *together) rest(t *testing.T) {
	t.Helper()
	NewWithT(t).Expect(b.slots.Acquire(t.Context(), b.max)).To(Succeed())
	b.slots.Release(b.max)
}

func TestHoldsReturnsWhenItsContextEnds(t *testing.T) {
	g := NewWithT(t)
	s := newStuck(t)
	bounded := newTogether(4, time.Hour)
	c := s.condition(t, "block()", bounded)

	err := s.leave(t, c)
	g.Expect(err).To(And(MatchError(ErrEnded), MatchError(context.Canceled)))
	g.Expect(c.runs.abandoned.Load()).To(BeEquivalentTo(1))

	_, message, err := NewLook(nil).Holds(t.Context(), c)
	g.Expect(err).To(And(MatchError(ErrEnded), MatchError(ContainSubstring("still runs"))))
	g.Expect(message).To(ContainSubstring("did not finish"))
	g.Expect(s.started).To(BeEmpty(), "it was not started again")

	close(s.release)
	bounded.rest(t)
	g.Expect(c.runs.abandoned.Load()).To(BeZero())
	holds, _, err := NewLook(nil).Holds(t.Context(), c)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(holds).To(BeTrue())
}

func TestEvaluationsThatWereLeftAreBounded(t *testing.T) {
	g := NewWithT(t)
	s := newStuck(t)
	bounded := newTogether(2, time.Hour)
	for _, expression := range []string{"block()", "!block()"} {
		g.Expect(s.leave(t, s.condition(t, expression, bounded))).To(MatchError(ErrEnded))
	}
	other := s.condition(t, "true", bounded)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := NewLook(nil).Holds(ended, other)
	g.Expect(err).To(And(MatchError(ErrEnded), MatchError(context.Canceled), MatchError(ContainSubstring("no slot was free, 2 evaluations"))))

	close(s.release)
	holds, _, err := NewLook(nil).Holds(t.Context(), other)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(holds).To(BeTrue())
}

func TestWhatTakesTooLongTwiceIsNotStartedAgain(t *testing.T) {
	g := NewWithT(t)
	s := newStuck(t)
	bounded := newTogether(2, time.Nanosecond)
	c := s.condition(t, "block()", bounded)
	close(s.release)
	_, message, err := NewLook(nil).Holds(t.Context(), c)
	g.Expect(err).To(And(MatchError(ErrEnded), MatchError(ContainSubstring("took longer than 1ns; it can be tried once more"))))
	g.Expect(message).To(Equal(err.Error()))
	bounded.rest(t)
	_, _, err = NewLook(nil).Holds(t.Context(), c)
	g.Expect(err).To(And(MatchError(ErrCost), MatchError(ContainSubstring("2 evaluations took longer than 1ns"))))

	bounded.rest(t)
	for len(s.started) > 0 {
		<-s.started
	}
	for range 3 {
		_, _, err = NewLook(nil).Holds(t.Context(), c)
		g.Expect(err).To(And(MatchError(ErrCost), MatchError(ContainSubstring("not evaluated again"))))
	}
	g.Expect(s.started).To(BeEmpty())
}

func TestAnEvaluationEndsAtItsNextStepWhenItsContextEnds(t *testing.T) {
	g := NewWithT(t)
	s := newStuck(t)
	bounded := newTogether(1, time.Hour)
	c := s.condition(t, "block() && size('a') == 1 && block() || true", bounded)
	g.Expect(s.leave(t, c)).To(MatchError(ErrEnded))
	close(s.release)
	bounded.rest(t)
	g.Expect(s.started).To(BeEmpty(), "the second block was not reached")
}
