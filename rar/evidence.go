package rar

import (
	"encoding/hex"
	"fmt"

	"github.com/holdfast-dev/holdfast/models"
)

// ledger numbers the rows that the report rests on, in the order in which they are first cited.
type ledger struct {
	entries []Evidence
	refs    map[string]string
}

func newLedger() *ledger { return &ledger{refs: map[string]string{}} }

// add returns the ref of an evidence; key tells whether it is there already. Most are cited many times, so it is described once.
func (l *ledger) add(key string, describe func() Evidence) string {
	if ref, known := l.refs[key]; known {
		return ref
	}
	e := describe()
	e.Ref = fmt.Sprintf("E%d", len(l.entries)+1)
	l.entries = append(l.entries, e)
	l.refs[key] = e.Ref
	return e.Ref
}

// row is the ref of a row of one of the tables.
func (l *ledger) row(r models.Row) string {
	h := r.Head()
	return l.add(r.Table()+"/"+h.ID, func() Evidence {
		return Evidence{
			Table: r.Table(), ID: h.ID, SourceUID: h.SourceUID, Sequence: h.Sequence, EntryHash: hex.EncodeToString(h.EntryHash),
			Event: h.Event, Phase: h.Phase, RecordedAt: h.RecordedAt.String(), RecordedBy: h.RecordedBy,
		}
	})
}

// place is the ref of a row that was read in part only.
func (l *ledger) place(table string, r Row) []string {
	if r.ID == "" {
		return nil
	}
	return []string{l.add(table+"/"+r.ID, func() Evidence {
		return Evidence{Table: table, ID: r.ID, SourceUID: r.SourceUID, Sequence: r.Sequence, EntryHash: hex.EncodeToString(r.EntryHash)}
	})}
}

func (l *ledger) letter(d *models.DeadLetter) string {
	hash := hex.EncodeToString(d.EntryHash)
	return l.add(models.TableDeadLetter+"/"+d.ID+"/"+hash, func() Evidence {
		return Evidence{Table: models.TableDeadLetter, ID: d.ID, SourceUID: d.SourceUID, Sequence: d.Sequence, EntryHash: hash, RecordedAt: d.FirstAttempt.String()}
	})
}

// query is the ref of an answer that many rows gave.
func (l *ledger) query(table, file, asked string) string {
	return l.add("query/"+file, func() Evidence { return Evidence{Table: table, Query: file + ": " + asked} })
}

// join puts lists of refs together, each ref once, in their order.
func join(lists ...[]string) []string {
	all := []string{}
	known := map[string]bool{}
	for _, list := range lists {
		for _, ref := range list {
			if !known[ref] {
				known[ref] = true
				all = append(all, ref)
			}
		}
	}
	return all
}
