package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
)

func TestShowADeadLetter(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	items := trail(t, s, 3, 2)
	stored := items[1]
	shown := holdfast(t, "dead-letter", "show", strings.ToUpper(stored.ID))
	g.Expect(shown).To(has(0, And(
		MatchRegexp(`ID: +`+stored.ID), MatchRegexp(`Resource: +shop/cart`), MatchRegexp(`Sequence: +2`), MatchRegexp(`Hash: +`+stored.Hash), MatchRegexp(`Previous hash: +`+items[0].Hash),
		MatchRegexp(`Redriven: +no`), MatchRegexp(`Error: +"for the \\x1b\[31mtest"`), ContainSubstring("dead-letter redrive "+stored.ID), ContainSubstring("\n    \"event\": \"Changed\"")), BeEmpty()))
	var all []struct{ Entry, Next string }
	g.Expect(json.Unmarshal([]byte(holdfast(t, "dead-letter", "show", stored.ID, "-o", "json").Stdout), &all)).To(Succeed())
	g.Expect(all).To(ConsistOf(And(HaveField("Entry", string(items[1].Text)), HaveField("Next", ContainSubstring("redrive")))))

	g.Expect(holdfast(t, "dead-letter", "redrive", stored.ID).Status).To(BeZero())
	var row struct {
		ID, Hash, Entry string
		Sequence        int64
	}
	g.Expect(s.DB().NewRaw("SELECT id, encode(entry_hash, 'hex') AS hash, entry, sequence FROM notification_audit WHERE sequence = 2").Scan(t.Context(), &row.ID, &row.Hash, &row.Entry, &row.Sequence)).To(Succeed())
	g.Expect(row.ID).To(Equal(stored.ID))
	g.Expect(row.Hash).To(Equal(stored.Hash))
	g.Expect(row.Entry).To(Equal(string(items[1].Text)))
	g.Expect(holdfast(t, "dead-letter", "show", stored.ID)).To(has(0, And(MatchRegexp(`Redriven: +20`), MatchRegexp(`Next: +Nothing to do`)), BeEmpty()), "it is still there")

	g.Expect(holdfast(t, "dead-letter", "show", uuid.NewString())).To(has(1, BeEmpty(), ContainSubstring("no dead letter has the ID")))
	g.Expect(holdfast(t, "dead-letter", "show", "seven")).To(has(2, BeEmpty(), ContainSubstring("expected a UUID")))
	g.Expect(holdfast(t, "dead-letter", "show")).To(has(2, BeEmpty(), Not(BeEmpty())))
}

func TestWhatIsTamperedWithIsShownAsSuch(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	items := trail(t, s, 2, 1)
	execute(t, s, "ALTER TABLE audit_dead_letter DISABLE TRIGGER ALL; UPDATE audit_dead_letter SET entry = replace(entry, 'Sending', 'Forged')")
	g.Expect(holdfast(t, "dead-letter", "show", items[0].Entry.ID).Stdout).To(And(ContainSubstring("It cannot become a row"), ContainSubstring("altered after it was appended")))
	execute(t, s, `UPDATE audit_dead_letter SET entry = '{"not an entry'`)
	g.Expect(holdfast(t, "dead-letter", "show", items[0].Entry.ID)).To(has(0, ContainSubstring("  {\"not an entry"), BeEmpty()))
}

func TestCompletionOfDeadLetters(t *testing.T) {
	g := NewWithT(t)
	s := migrated(t)
	items := trail(t, s, 4, 2, 3)
	second, third := items[1].Entry.ID, items[2].Entry.ID
	offered := holdfast(t, "__complete", "dead-letter", "redrive", second, "").Stdout
	g.Expect(offered).To(And(ContainSubstring(third+"\tshop/cart"), Not(ContainSubstring(second))))
	g.Expect(holdfast(t, "__complete", "dead-letter", "show", second[:12]).Stdout).To(ContainSubstring(second))
	t.Setenv("HOLDFAST_DATABASE_URL", "postgres://127.0.0.1:1/x")
	g.Expect(holdfast(t, "__complete", "dead-letter", "show", "").Status).To(BeZero(), "a database that is away offers nothing")
}
