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

func selected(t *testing.T, s *Store, which Letters) []models.DeadLetter {
	t.Helper()
	var all []models.DeadLetter
	NewWithT(t).Expect(s.DeadLetters(t.Context(), which, func(d models.DeadLetter) error {
		all = append(all, d)
		return nil
	})).To(Succeed())
	return all
}

func redrive(t *testing.T, s *Store, d models.DeadLetter, dryRun bool) relay.Outcome {
	t.Helper()
	outcome, err := s.Redrive(t.Context(), d, dryRun)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return outcome
}

// narrow makes a column too small for a while, as a mistaken migration of somebody would: the entries are good, and become rows once the column is wide again.
func narrowed(t *testing.T, s *Store, n int) []relay.Item {
	t.Helper()
	execute(t, s, "ALTER TABLE notification_audit ADD CONSTRAINT mistaken CHECK (subject IS NULL OR subject <> 'cart is back')")
	good := notifications(t, n)
	other := history(t, newSource(), entry.KindNotification, 1, func(int) any {
		r := notification()
		r.Subject = "canaries may sing"
		return r
	})
	outcomes := persist(t, s, sorted(append(slices.Clone(good), other...)))
	NewWithT(t).Expect(results(outcomes)).To(ConsistOf(append(anys(repeat(relay.DeadLettered, n)), relay.Stored)...))
	return good
}

func anys[T any](of []T) []any {
	var all []any
	for _, x := range of {
		all = append(all, x)
	}
	return all
}

func TestRedrive(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	good := narrowed(t, s, 3)

	waiting := selected(t, s, Letters{})
	g.Expect(waiting).To(HaveLen(3))
	g.Expect(waiting[0].SQLState).To(Equal("23514"))
	still := redrive(t, s, waiting[0], false)
	g.Expect(still).To(And(HaveField("Result", relay.DeadLettered), HaveField("SQLState", "23514")))
	g.Expect(selected(t, s, Letters{})[0].Attempts).To(BeEquivalentTo(2), "a failed attempt counts")

	execute(t, s, "ALTER TABLE notification_audit DROP CONSTRAINT mistaken")
	g.Expect(redrive(t, s, waiting[0], true).Result).To(Equal(relay.Stored))
	g.Expect(count(t, s, "notification_audit")).To(Equal(1), "a dry run leaves nothing")
	g.Expect(selected(t, s, Letters{})).To(HaveLen(3))

	other := open(t, database(t)) // never mind which cluster the store is opened for: the dead letter's counts
	g.Expect(other.options.Cluster).To(Equal("test"))
	elsewhere := *s
	elsewhere.options.Cluster = "elsewhere"
	for _, d := range waiting {
		g.Expect(redrive(t, &elsewhere, d, false).Result).To(Equal(relay.Stored))
		g.Expect(redrive(t, &elsewhere, d, false).Result).To(Equal(relay.Present), "again")
	}
	g.Expect(selected(t, s, Letters{})).To(BeEmpty())
	all := selected(t, s, Letters{Redriven: true})
	g.Expect(all).To(HaveLen(3), "nothing is deleted")
	g.Expect(all).To(HaveEach(HaveField("RedrivenAt", Not(BeNil()))))
	for _, item := range good {
		g.Expect(count(t, s, fmt.Sprintf(`notification_audit WHERE id = '%s' AND sequence = %d AND entry_hash = '\x%s' AND source_cluster = 'test'`,
			item.ID, item.Sequence, item.Hash))).To(Equal(1))
	}
	g.Expect(results(persist(t, s, good))).To(Equal(repeat(relay.Present, 3)), "the relay finds them as its own")
}

// This release does not try a value that is longer than the column that it knows. A redrive does: somebody may have widened the column for it.
func TestARedriveAsksTheDatabase(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	long := history(t, newSource(), entry.KindNotification, 1, func(int) any {
		r := notification()
		r.DeliveryStatus = strings.Repeat("x", 51)
		return r
	})
	g.Expect(results(persist(t, s, long))).To(Equal(repeat(relay.DeadLettered, 1)))
	letter := selected(t, s, Letters{})[0]
	g.Expect(redrive(t, s, letter, false)).To(And(HaveField("Result", relay.DeadLettered), HaveField("SQLState", "22001"), HaveField("Error", ContainSubstring("delivery_status has 51 characters"))))

	execute(t, s, "ALTER TABLE notification_audit ALTER COLUMN delivery_status TYPE VARCHAR(100)")
	g.Expect(redrive(t, s, letter, false).Result).To(Equal(relay.Stored))
	g.Expect(results(persist(t, s, long))).To(Equal(repeat(relay.DeadLettered, 1)), "a relay does not ask")
	g.Expect(count(t, s, "notification_audit")).To(Equal(1))
}

func TestRedriveAsTheWriter(t *testing.T) {
	g := NewWithT(t)
	url := database(t)
	s := open(t, url)
	narrowed(t, s, 1)
	execute(t, s, "ALTER TABLE notification_audit DROP CONSTRAINT mistaken; CREATE ROLE redriver LOGIN PASSWORD 'sesame' IN ROLE holdfast_writer")
	writer := open(t, "postgres://redriver:sesame"+url[strings.LastIndex(url, "@"):])
	waiting := selected(t, writer, Letters{})
	g.Expect(waiting).To(HaveLen(1))
	g.Expect(redrive(t, writer, waiting[0], false).Result).To(Equal(relay.Stored))
	g.Expect(selected(t, writer, Letters{})).To(BeEmpty())
}

func TestWhatCannotBeRedriven(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	batch := notifications(t, 2)
	persist(t, s, batch)
	changed := notifications(t, 1)[0]
	changed.Refused, changed.Text = "hash", []byte(strings.Replace(string(changed.Text), "cart is back", "forged", 1))
	noJSON := notifications(t, 1)[0]
	noJSON.Refused, noJSON.Text = "no JSON", []byte("\xff")
	noJSON.Hash = entry.Hash(noJSON.Text) // else it was changed, and nobody asks further
	conflicting := forge(t, batch[0], func(e *entry.Entry) { e.Event = "Diverged" })
	otherID := forge(t, notifications(t, 1)[0], func(e *entry.Entry) { e.ID = "019ab3c4-0000-8000-8000-000000000001" })
	otherID.Refused, otherID.ID = "id", notifications(t, 1)[0].ID
	persist(t, s, sorted([]relay.Item{changed, noJSON, conflicting, otherID}))

	reasons := map[string]string{
		changed.ID: "altered after it was appended", noJSON.ID: "cannot be read",
		conflicting.ID: "another entry has this id", otherID.ID: "is not the id derived from uid and sequence",
	}
	letters := selected(t, s, Letters{})
	g.Expect(letters).To(HaveLen(len(reasons)))
	for _, d := range letters {
		outcome := redrive(t, s, d, false)
		g.Expect(outcome.Result).To(Or(Equal(relay.DeadLettered), Equal(relay.Conflicting)))
		g.Expect(outcome.Error).To(ContainSubstring(reasons[d.ID]))
	}
	g.Expect(selected(t, s, Letters{})).To(HaveLen(len(reasons)))
	g.Expect(count(t, s, "notification_audit")).To(Equal(2))
}

func TestSelectingDeadLetters(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	batch := notifications(t, 2*page+3)
	for i := range batch {
		batch[i].Refused = "for the test"
	}
	persist(t, s, batch)
	all := selected(t, s, Letters{})
	g.Expect(all).To(HaveLen(len(batch)), "over several pages")
	for i, d := range all {
		g.Expect(d.ID).To(Equal(batch[i].ID))
	}
	some := selected(t, s, Letters{IDs: []string{batch[7].ID, batch[1].ID}})
	g.Expect(some).To(HaveExactElements(HaveField("ID", batch[1].ID), HaveField("ID", batch[7].ID)))

	g.Expect(s.DeadLetters(t.Context(), Letters{IDs: []string{"seven"}}, nil)).To(MatchError(ContainSubstring(`id is "seven", expected a UUID`)))
	enough := errors.New("enough")
	g.Expect(s.DeadLetters(t.Context(), Letters{}, func(models.DeadLetter) error { return enough })).To(MatchError(enough))
	execute(t, s, "DROP TABLE audit_dead_letter")
	g.Expect(s.DeadLetters(t.Context(), Letters{}, nil)).To(MatchError(ContainSubstring("`holdfast migrate up`")))
}

// Whatever is wrong with a dead letter's texts: it is there, with the bytes of the entry, and so are its neighbours.
func TestADeadLetterOfLastResort(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	execute(t, s, "ALTER TABLE audit_dead_letter ADD CONSTRAINT texts CHECK (position('cursed' IN entry || error) = 0)")
	cursed, good := told(t, "cursed"), told(t, "fine")
	cursed.Refused = "it is cursed"
	outcomes := persist(t, s, sorted([]relay.Item{cursed, good}))
	g.Expect(results(outcomes)).To(ConsistOf(relay.DeadLettered, relay.Stored))
	var letters []models.DeadLetter
	g.Expect(s.DeadLetters(t.Context(), Letters{}, func(d models.DeadLetter) error { letters = append(letters, d); return nil })).To(Succeed())
	g.Expect(letters).To(HaveLen(1))
	g.Expect(letters[0].Text()).To(Equal(cursed.Text))
	g.Expect(letters[0].Kind).To(Equal("unknown"))
	g.Expect(count(t, s, "notification_audit")).To(Equal(1))
}
