package relay

import (
	"context"
	"errors"
	"testing"

	. "github.com/onsi/gomega"
)

// forgetful is a store that somebody wrote who forgot to say what became of an entry.
type forgetful struct{ outcomes []Outcome }

func (f forgetful) Persist(context.Context, []Item) ([]Outcome, error) { return f.outcomes, nil }

func TestAnOutcomeThatNobodyGaveIsNotDurable(t *testing.T) {
	for name, outcomes := range map[string][]Outcome{
		"the zero value":   {{}, {}},
		"one of them":      {{Result: Stored}, {}},
		"a future release": {{Result: Stored}, {Result: 77}},
		"too few":          {{Result: Stored}},
		"none":             nil,
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			tr, k := tracking(Config{})
			tr.observe(k, withEntries(t, 2, isClosed), tr.generation())
			_, err := newFlusher(forgetful{outcomes}, tr, tr.config).runOnce(t.Context())
			g.Expect(err).To(MatchError(ContainSubstring("outcome")))
			g.Expect(tr.watermark("u").Sequence).To(BeZero())
			g.Expect(tr.dequeue().items).To(HaveLen(2), "they are sent again")
		})
	}
	g := NewWithT(t)
	g.Expect(Outcome{}.Durable()).To(BeFalse())
	g.Expect(Outcome{Result: 77}.Durable()).To(BeFalse())
	_, err := Unknown.MarshalText()
	g.Expect(err).To(HaveOccurred())
	g.Expect(errors.Is(err, ErrSchema)).To(BeFalse())
}
