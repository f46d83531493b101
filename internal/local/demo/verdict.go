package demo

import (
	"fmt"
	"slices"
)

// stored is an entry as the database has it.
type stored struct {
	position
	kind, id, hash, previousHash string
	// textHash is the SHA-256 of the stored text, computed by PostgreSQL.
	textHash   string
	deadLetter bool
}

// Count is the verdict on the resources of one kind.
type Count struct {
	Kind        string `json:"kind"`
	Resources   int    `json:"resources"`
	Appended    int    `json:"entriesAppended"`
	Rows        int    `json:"rowsFound"`
	DeadLetters int    `json:"deadLetters"`
	Lost        int    `json:"lost"`
	Doubled     int    `json:"doubled"`
}

// Verdict compares what was appended with what is stored.
type Verdict struct {
	Kinds []Count `json:"kinds"`
	Total Count   `json:"total"`
	// Faults says what else is wrong: rows that nobody appended, hashes that differ, chains that are broken. Each is one line.
	Faults []string `json:"faults"`
}

// Clean tells whether every entry is there exactly once, unaltered and in its place.
func (v Verdict) Clean() bool {
	return v.Total.Lost == 0 && v.Total.Doubled == 0 && len(v.Faults) == 0
}

// judge is pure. Every entry that the witness counted must be a row or a dead letter, once.
func (w *witness) judge(rows []stored) Verdict {
	w.mu.Lock()
	defer w.mu.Unlock()
	counts := map[string]*Count{}
	for _, k := range kinds {
		counts[k.name] = &Count{Kind: k.name}
	}
	for uid, kind := range w.resources {
		counts[kind].Resources++
		counts[kind].Appended += int(w.last[uid])
	}
	faults := []string{} // [] in JSON, not null
	found, ids := map[position]bool{}, map[string]bool{}
	for _, r := range rows {
		c, ok := counts[r.kind]
		if !ok {
			faults = append(faults, fmt.Sprintf("%s: stored for %s, which nobody appends to", r.position, r.kind))
			continue
		}
		if r.deadLetter {
			c.DeadLetters++
		} else {
			c.Rows++
		}
		if found[r.position] || ids[r.id] {
			c.Doubled++
		}
		found[r.position], ids[r.id] = true, true
		faults = append(faults, w.compare(r)...)
	}
	for uid, last := range w.last {
		for sequence := int64(1); sequence <= last; sequence++ {
			if !found[position{uid, sequence}] {
				counts[w.resources[uid]].Lost++
			}
		}
	}
	for at := range w.changed {
		faults = append(faults, fmt.Sprintf("%s: its content changed in the resource after it was appended", at))
	}
	faults = append(faults, brokenChains(rows)...)
	slices.Sort(faults)
	v := Verdict{Total: Count{Kind: "total"}, Faults: faults}
	for _, k := range kinds {
		v.Kinds = append(v.Kinds, *counts[k.name])
		v.Total.add(*counts[k.name])
	}
	return v
}

// compare says what is wrong with one row.
func (w *witness) compare(r stored) []string {
	switch was, ok := w.entries[r.position]; {
	case r.sequence < 1 || r.sequence > w.last[r.uid]:
		return []string{fmt.Sprintf("%s: a row that nobody appended", r.position)}
	case !ok:
		return []string{fmt.Sprintf("%s: a row whose entry the witness has not seen, so its hash can't be compared", r.position)}
	case was.id != r.id || was.hash != r.hash || was.previousHash != r.previousHash:
		return []string{fmt.Sprintf("%s: id %s and hash %s in the database, %s and %s in the resource", r.position, r.id, r.hash, was.id, was.hash)}
	case r.textHash != r.hash:
		return []string{fmt.Sprintf("%s: the stored text has the hash %s, expected %s", r.position, r.textHash, r.hash)}
	}
	return nil
}

// brokenChains follows previous_hash from each row to the one before it.
func brokenChains(rows []stored) []string {
	hashes := map[position]string{}
	for _, r := range rows {
		hashes[r.position] = r.hash
	}
	var faults []string
	for _, r := range rows {
		if before := hashes[position{r.uid, r.sequence - 1}]; before != r.previousHash {
			faults = append(faults, fmt.Sprintf("%s: previous_hash is %q, the row before has %q", r.position, r.previousHash, before))
		}
	}
	return faults
}

func (c *Count) add(o Count) {
	c.Resources += o.Resources
	c.Appended += o.Appended
	c.Rows += o.Rows
	c.DeadLetters += o.DeadLetters
	c.Lost += o.Lost
	c.Doubled += o.Doubled
}

func (p position) String() string { return fmt.Sprintf("entry %d of %s", p.sequence, p.uid) }
