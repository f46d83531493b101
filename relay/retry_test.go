package relay

import (
	"errors"
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// busy is a store's error that says when to come back.
type busy time.Duration

func (b busy) Error() string             { return "too much to do" }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

func TestTheStoreSaysWhenToComeBack(t *testing.T) {
	g := NewWithT(t)
	tr, _ := tracking(Config{})
	for name, c := range map[string]struct {
		err  error
		want time.Duration
	}{
		"in a while":        {fmt.Errorf("persist: %w", busy(7*time.Second)), 7 * time.Second},
		"in a day":          {busy(24 * time.Hour), time.Minute},
		"it does not say":   {errors.New("connection refused"), 0},
		"sooner than we do": {busy(time.Nanosecond), 0},
	} {
		delay := newFlusher(away{}, tr, tr.config).report(t.Context(), c.err)
		if c.want == 0 {
			g.Expect(delay).To(And(BeNumerically(">=", 100*time.Millisecond), BeNumerically("<", time.Second)), name)
			continue
		}
		g.Expect(delay).To(Equal(c.want), name)
	}
}

func TestResultsHaveNames(t *testing.T) {
	g := NewWithT(t)
	for _, r := range []Result{Stored, Present, DeadLettered, Conflicting, Unsupported} {
		text, err := r.MarshalText()
		g.Expect(err).NotTo(HaveOccurred())
		var back Result
		g.Expect(back.UnmarshalText(text)).To(Succeed())
		g.Expect(back).To(Equal(r))
	}
	_, err := Result(77).MarshalText()
	g.Expect(err).To(MatchError(ContainSubstring("result 77 has no name, expected one of conflicting")))
	back := Unsupported
	g.Expect(back.UnmarshalText([]byte("eaten"))).To(MatchError(ContainSubstring(`result is "eaten", expected one of`)))
	g.Expect(back).To(Equal(Unsupported))
}
