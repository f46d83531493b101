package rar

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-dev/holdfast/models"
)

// complete says how far the report can be relied on: first what is wrong, then what is not there yet.
func (b *builder) complete() Complete {
	c := Complete{State: StateFinal, Reasons: []Statement{}, Missing: b.missing(), DeadLetters: []DeadLetter{}, ClockSkew: b.skew(), Chain: b.chain()}
	because := func(state, text string, refs []string) {
		if state == StatePartial || c.State == StateFinal {
			c.State = state
		}
		c.Reasons = append(c.Reasons, Statement{text, notEmpty(refs)})
	}
	switch {
	case len(b.trails) == 0:
		because(StatePartial, "No row that belongs to this remediation is visible.", nil)
	case b.posted:
		because(StatePartial, "The rows were posted over REST. They have no sequence and no hash: nothing shows whether they are all, and whether they are unchanged. They say what their sender knew.", b.trailRefs())
	case b.request == nil:
		because(StatePartial, "No row of the request is visible, so what the remediation is made of is not known.", b.trailRefs())
	}
	if b.guessed {
		because(StatePartial, "The request's rows do not name the resources that it made: the first one of each kind under its id, in its namespace, counts.", b.requestRefs())
	}
	if b.uncounted > 0 {
		because(StatePartial, fmt.Sprintf("The request's rows name %d resources beyond the first %d, which do not count here.", b.uncounted, maxChildren), b.requestRefs())
	}
	for _, m := range c.Missing {
		because(StatePartial, m.Text, m.Refs)
	}
	for _, t := range b.trails {
		for _, d := range t.letters {
			letter := DeadLetter{SourceUID: d.SourceUID, Sequence: d.Sequence, Kind: d.Kind, Error: d.Error, Redriven: t.redriven(d), Refs: []string{b.ledger.letter(d)}}
			c.DeadLetters = append(c.DeadLetters, letter)
			if !letter.Redriven {
				because(StatePartial, fmt.Sprintf("Entry %d of %s could not become a row: it is a dead letter.", d.Sequence, t.title()), letter.Refs)
			}
		}
	}
	for _, f := range c.Chain.Faults {
		because(StatePartial, f.Text, f.Refs)
	}
	for _, t := range b.trails {
		if !t.posted && !t.closed() && len(t.rows) > 0 && !t.lastIsLetter() {
			because(StateOpen, fmt.Sprintf("The record of %s is open: more may follow.", t.title()), b.refs(t.rows[len(t.rows)-1]))
		}
	}
	return c
}

// redriven reports whether the entry of a dead letter became a row after all.
func (t *trail) redriven(d *models.DeadLetter) bool {
	return slices.ContainsFunc(t.rows, func(r models.Row) bool { return slices.Equal(r.Head().EntryHash, d.EntryHash) })
}

// title names a resource in a sentence.
func (t *trail) title() string {
	name := cmp.Or(t.name, t.uid)
	if name == "" {
		return t.service
	}
	return t.service + " " + shownName(name)
}

// trailRefs cite every row that counts.
func (b *builder) trailRefs() []string {
	var all []string
	for _, t := range b.trails {
		all = append(all, b.refs(t.rows...)...)
	}
	return all
}

// missing are gaps in the sequences, and what other rows say must be there.
func (b *builder) missing() []Missing {
	all := []Missing{}
	add := func(t *trail, from, to int64, text string, refs []string) {
		all = append(all, Missing{Resource: t.title(), SourceUID: t.uid, From: from, To: to, Text: text, Refs: notEmpty(refs)})
	}
	for i, t := range b.trails {
		if t.posted {
			continue
		}
		if len(t.rows) == 0 && len(t.letters) == 0 {
			if i > 0 && t.expected(b) {
				add(t, 0, 0, fmt.Sprintf("No row of %s is visible, which the request made.", t.title()), b.requestRefs())
			}
			continue
		}
		for _, g := range t.gaps() {
			text := fmt.Sprintf("Entry %d of %s is missing.", g.from, t.title())
			if g.to > g.from {
				text = fmt.Sprintf("Entries %d to %d of %s are missing.", g.from, g.to, t.title())
			}
			add(t, g.from, g.to, text, b.refs(g.beside...))
		}
		if i > 0 && !t.closed() && b.requestTrail != nil && b.requestTrail.closed() && !t.lastIsLetter() {
			add(t, 0, 0, fmt.Sprintf("The request is closed, but the end of %s is missing.", t.title()), b.refs(t.tail()...))
		}
	}
	return all
}

// expected reports whether a child must have left a row by now: its request has ended. One that was just made may not have been drained yet.
func (t *trail) expected(b *builder) bool { return b.requestTrail == nil || b.requestTrail.closed() }

func (t *trail) tail() []models.Row { return t.rows[max(0, len(t.rows)-1):] }

// lastIsLetter reports whether a dead letter comes after the newest row.
func (t *trail) lastIsLetter() bool {
	newest := int64(0)
	if n := len(t.rows); n > 0 {
		newest = t.rows[n-1].Head().Sequence
	}
	return slices.ContainsFunc(t.letters, func(d *models.DeadLetter) bool { return d.Sequence > newest })
}

type gap struct {
	from, to int64
	beside   []models.Row
}

// gaps are the sequences between 1 and the newest that neither a row nor a dead letter has.
func (t *trail) gaps() []gap {
	type place struct {
		sequence int64
		row      models.Row
	}
	var places []place
	for _, r := range t.rows {
		places = append(places, place{r.Head().Sequence, r})
	}
	for _, d := range t.letters {
		places = append(places, place{d.Sequence, nil})
	}
	slices.SortStableFunc(places, func(x, y place) int { return cmp.Compare(x.sequence, y.sequence) })
	var gaps []gap
	before := place{}
	for _, p := range places {
		if p.sequence > before.sequence+1 && p.sequence > 0 {
			g := gap{from: max(before.sequence, 0) + 1, to: p.sequence - 1}
			for _, r := range []models.Row{before.row, p.row} {
				if r != nil {
					g.beside = append(g.beside, r)
				}
			}
			gaps = append(gaps, g)
		}
		before = p
	}
	return gaps
}
