package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

func read(t *testing.T, s *Store, uid string) []Stored {
	t.Helper()
	var all []Stored
	NewWithT(t).Expect(s.Read(t.Context(), uid, func(e *Stored) error {
		all = append(all, *e)
		return nil
	})).To(Succeed())
	return all
}

func TestReadMergesTheTablesByPlace(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	var want []string
	var all []relay.Item
	for range 3 {
		all = append(all, everyKind(t, page/2+7)...) // several pages of each table
	}
	for i := range all {
		if i%11 == 0 {
			all[i].Refused = "for the test"
		}
		want = append(want, fmt.Sprintf("%s/%05d", all[i].Source.UID, all[i].Sequence))
	}
	slices.Sort(want)
	for chunk := range slices.Chunk(sorted(all), 100) {
		persist(t, s, chunk)
	}
	var got []string
	dead := 0
	for _, e := range read(t, s, "") {
		got = append(got, fmt.Sprintf("%s/%05d", e.SourceUID, e.Sequence))
		g.Expect(entry.Hash([]byte(e.Entry))).To(Equal(fmt.Sprintf("%x", e.EntryHash)))
		if e.DeadLetter() {
			dead++
			g.Expect(e.Columns).To(BeEmpty())
			continue
		}
		g.Expect(models.Tables()).To(ContainElement(e.Table))
		g.Expect(e.Columns).To(ContainSubstring(e.ID))
	}
	g.Expect(got).To(Equal(want))
	g.Expect(dead).To(Equal((len(all) + 10) / 11))

	one := read(t, s, string(all[0].Source.UID))
	g.Expect(one).To(HaveLen(page/2 + 7))
	g.Expect(one).To(HaveEach(HaveField("SourceUID", string(all[0].Source.UID))))
	g.Expect(read(t, s, strings.ToUpper(string(all[0].Source.UID)))).To(Equal(one))
}

func TestReadIsOneMoment(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	persist(t, s, notifications(t, 2))
	seen := 0
	g.Expect(s.Read(t.Context(), "", func(*Stored) error {
		if seen++; seen == 1 {
			persist(t, s, everyKind(t, 3))
		}
		return nil
	})).To(Succeed())
	g.Expect(seen).To(Equal(2))
}

func TestReadingFails(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	persist(t, s, notifications(t, 2))
	enough := errors.New("enough")
	g.Expect(s.Read(t.Context(), "", func(*Stored) error { return enough })).To(Equal(enough))
	g.Expect(s.Read(t.Context(), "' OR true --", nil)).To(MatchError(ContainSubstring("expected a UUID")))
	for _, form := range []string{"{019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b}", "urn:uuid:019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b", "019ab3c45d6e7f809a1b2c3d4e5f6a7b"} {
		g.Expect(s.Read(t.Context(), form, nil)).To(MatchError(ContainSubstring("expected a UUID of 36 characters")))
		g.Expect(s.DeadLetters(t.Context(), Letters{IDs: []string{form}}, nil)).To(MatchError(ContainSubstring("expected a UUID of 36 characters")))
	}
	execute(t, s, "DROP TABLE resource_audit")
	g.Expect(s.Read(t.Context(), "", nil)).To(And(MatchError(relay.ErrSchema), MatchError(ContainSubstring("`holdfast migrate up`"))))
}
