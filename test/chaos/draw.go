//go:build unix

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// drain says where managers drain to.
type drain string

const (
	overDatabase    drain = "database"
	overAPI         drain = "api"      // to a storage service in front of it
	acrossShards    drain = "shards"   // to the database, from two managers with a shard each
	acrossFailovers drain = "failover" // to a primary with a standby, through a pooler
)

// schedule is what one run does. It follows from the seed, the number and where managers drain to.
type schedule struct {
	number int
	// faults come one after the other; network comes beside them.
	faults  []planned
	network *planned
	jobs    []job
	// namespaceGoes after so many entries; 0: it stays.
	namespaceGoes int
}

// planned is a fault with its moment.
type planned struct {
	fault
	after int           // entries that were appended in the namespace before
	hold  time.Duration // between the fault and its end, where it has one
}

// kind of a job: what it makes.
type kind string

const (
	remediation  kind = "remediation"  // of a target that does not exist: ends by itself
	approval     kind = "approval"     // a remediation that waits for a person
	analysis     kind = "analysis"     // waits for a person too
	notification kind = "notification" // two channels; one always fails
	workflow     kind = "workflow"     // of steps that wait
	ledger       kind = "ledger"       // a workflow that rests in one long step, while this process appends entries to its outbox
)

// ending of a job's resource.
type ending string

const (
	byItself  ending = "by itself" // or by a decision, where one is waited for
	cancelled ending = "cancelled"
	deleted   ending = "deleted at any phase"
	stripped  ending = "finalizers stripped"
	again     ending = "name made again"
	collected ending = "foreign owner, collected"
	replaced  ending = "replaced, then by itself"
)

// job makes one resource and ends it.
type job struct {
	kind   kind
	name   string
	ending ending
	after  int // entries that were appended in the namespace before the ending
	steps  int // of a workflow
	// Of a ledger: how many entries, with which bytes of text, and which of them cannot become a row: -1 for none.
	entries, bytes, poison int
	reject                 bool // of what waits for a person
	strips                 bool // collected: of its finalizers, too
}

// draw is pure. Where only is not empty, faults are drawn of those whose names have it in them.
func draw(to drain, seed uint64, number int, only string) schedule {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	s := schedule{number: number}
	strips := r.IntN(5) == 0
	s.drawFaults(r, to, strips, only)
	kinds := []kind{remediation, approval, analysis, notification, notification, workflow, ledger}
	endings := []ending{byItself, byItself, cancelled, deleted, deleted, again, collected}
	for i := range 4 + r.IntN(4) {
		j := job{kind: kinds[r.IntN(len(kinds))], ending: endings[r.IntN(len(endings))], after: r.IntN(60), steps: 1 + r.IntN(12), poison: -1, reject: r.IntN(2) == 0, strips: strips}
		if i == 0 {
			j.kind = ledger
		}
		if strips && r.IntN(2) == 0 {
			j.ending = []ending{stripped, replaced}[r.IntN(2)]
		}
		if j.kind == ledger {
			j.drawEntries(r)
		}
		j.name = fmt.Sprintf("%s-%d", j.kind, i)
		s.jobs = append(s.jobs, j)
	}
	if r.IntN(8) == 0 {
		s.namespaceGoes = 10 + r.IntN(40)
	}
	if to == acrossFailovers {
		s.spare()
	}
	return s
}

// spare leaves out what has its own alerts and findings, or takes the namespace away that faults work in: there, alerts and `holdfast verify` are held against the faults.
func (s *schedule) spare() {
	s.namespaceGoes = 0
	for i := range s.jobs {
		j := &s.jobs[i]
		j.poison, j.strips = -1, false
		if j.ending == stripped || j.ending == replaced {
			j.ending = deleted
		}
	}
}

func (s *schedule) drawFaults(r *rand.Rand, to drain, strips bool, only string) {
	plan := func(from []fault) planned {
		hold := time.Duration(100+r.IntN(1400)) * time.Millisecond
		if r.IntN(10) == 0 {
			hold *= 4
		}
		return planned{from[r.IntN(len(from))], r.IntN(50), hold}
	}
	from := to.faults()
	if strips {
		from = to.watching()
	}
	from = faultsNamed(from, only)
	for range 1 + r.IntN(3) {
		s.faults = append(s.faults, plan(from))
	}
	if r.IntN(3) == 0 {
		p := plan(to.network())
		s.network = &p
	}
}

// drawEntries: a few, many small ones or large ones; in a third of the ledgers one is poison, in first, middle or last place.
func (j *job) drawEntries(r *rand.Rand) {
	switch r.IntN(4) {
	case 0:
		j.entries, j.bytes = 2*hardEntries, 100 // more than fit while the database is away
	case 1:
		j.entries, j.bytes = 12, 40<<10
	default:
		j.entries, j.bytes = 3+r.IntN(20), 500
	}
	if r.IntN(3) == 0 {
		j.poison = []int{0, j.entries / 2, j.entries - 1}[r.IntN(3)]
	}
}

func (s *schedule) String() string {
	var what []string
	for _, f := range s.all() {
		what = append(what, f.name)
	}
	for _, j := range s.jobs {
		if j.ending == stripped {
			what = append(what, string(stripped))
			break
		}
	}
	if s.namespaceGoes > 0 {
		what = append(what, namespaceDeleted)
	}
	return strings.Join(what, ", ")
}

func (s *schedule) all() []planned {
	all := s.faults
	if s.network != nil {
		all = append(slices.Clip(all), *s.network)
	}
	return all
}
