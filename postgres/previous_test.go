package postgres

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/relay"
)

// asking are the entries of one resource by sequence, each of which asks for the one before.
func asking(t *testing.T, n int) []relay.Item {
	t.Helper()
	all := notifications(t, n)
	slices.SortFunc(all, func(a, b relay.Item) int { return int(a.Sequence - b.Sequence) })
	for i := range all {
		all[i].AskPrevious = true
	}
	return all
}

func TestTheEntryBeforeIsMissed(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	lost, whole, refused := asking(t, 3), asking(t, 2), asking(t, 2)
	refused[0].Refused = "for the test" // a dead letter counts as present
	before := []relay.Item{whole[0], refused[0]}
	for i := range before {
		before[i].AskPrevious = false
	}
	persist(t, s, sorted(before))
	batch := sorted([]relay.Item{lost[2], whole[1], refused[1]})
	outcomes, err := s.Persist(t.Context(), batch)
	g.Expect(err).NotTo(HaveOccurred())
	for i, o := range outcomes {
		g.Expect(o.Result).To(Equal(relay.Stored))
		g.Expect(o.PreviousMissing).To(Equal(batch[i].ID == lost[2].ID), "%s", batch[i].Source)
	}
	// Who does not ask is not told.
	batch[0].AskPrevious, batch[1].AskPrevious, batch[2].AskPrevious = false, false, false
	outcomes, err = s.Persist(t.Context(), batch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcomes).To(HaveEach(And(HaveField("Result", relay.Present), HaveField("PreviousMissing", false))))
}
