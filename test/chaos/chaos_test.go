//go:build unix

package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// A few schedules over each; `make chaos` runs as many as are wanted.
func TestAFewSchedules(t *testing.T) {
	g := NewWithT(t)
	out := filepath.Join(t.TempDir(), "chaos.json")
	all, err := run(t.Context(), options{drains: []drain{overDatabase, overAPI}, seed: 1, runs: 5, first: 1, out: out}, t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(all).To(HaveLen(2))
	for i, schedules := range []int{5, 2} {
		s := all[i]
		g.Expect(s.Failed).To(BeEmpty())
		g.Expect(s.Differences).To(BeEmpty())
		g.Expect(s.Schedules).To(Equal(schedules))
		g.Expect(s.Total.Rows + s.Total.DeadLetters).To(Equal(s.Total.Appended))
	}
	text, err := os.ReadFile(out)
	g.Expect(err).NotTo(HaveOccurred())
	var written summaries
	g.Expect(json.Unmarshal(text, &written)).To(Succeed())
	g.Expect(written).To(HaveLen(2))
	g.Expect(written[1].Store).To(Equal(overAPI))
	g.Expect(written[1].Total).To(Equal(all[1].Total))
}

// The seed is one whose first schedules have all that moves shards.
func TestShardsMoveUnderFaults(t *testing.T) {
	g := NewWithT(t)
	all, err := run(t.Context(), options{drains: []drain{acrossShards}, seed: 2290, runs: 2, first: 1, out: filepath.Join(t.TempDir(), "chaos.json")}, t.Output())
	g.Expect(err).NotTo(HaveOccurred())
	s := all[0]
	g.Expect(s.Failed).To(BeEmpty())
	g.Expect(s.Differences).To(BeEmpty())
	g.Expect(s.Total.Rows + s.Total.DeadLetters).To(Equal(s.Total.Appended))
	for _, f := range shardFaults {
		g.Expect(s.Faults).To(HaveKey(f.name))
	}
}

// Two schedules: the disk is full, an asynchronous standby that was behind is promoted, and the primary is lost until the alerts fire, which end; then two standbys are behind in turns, and an old primary
// comes back.
func TestFailoversLoseNothingThatWasPromised(t *testing.T) {
	g := NewWithT(t)
	all, err := run(t.Context(), options{drains: []drain{acrossFailovers}, seed: 318178, runs: 2, first: 1, only: "away until|asynchronous|disk full|in turns|rewound", out: filepath.Join(t.TempDir(), "chaos.json")}, t.Output())
	if errors.Is(err, localcluster.ErrNoPooler) {
		t.Skip("NOT TRIED: failovers behind a pooler: ", err)
	}
	g.Expect(err).NotTo(HaveOccurred())
	s := all[0]
	g.Expect(s.Failed).To(BeEmpty())
	g.Expect(s.Differences).To(BeEmpty())
	g.Expect(s.Total.Rows + s.Total.DeadLetters + s.Faults[forfeitedNamed] + s.Faults[forfeitedWhole]).To(Equal(s.Total.Appended))
	for _, f := range []string{
		"disk full", "primary away until the alert, standby promoted", "asynchronous standby behind, then promoted",
		"two standbys behind in turns, the one with more promoted", "old primary rewound, then promoted again",
	} {
		g.Expect(s.Faults[f]+s.Faults[notTried+f]).To(Equal(1), f)
	}
	g.Expect(s.Faults[forfeitedNamed]).To(BeNumerically(">=", 3), "an asynchronous standby that is promoted loses what it has not got")
}

func TestFailoversAreHeldAgainstAlertsAndVerify(t *testing.T) {
	g := NewWithT(t)
	drawn := map[string]bool{}
	for number := range 200 {
		s := draw(acrossFailovers, 1, number, "")
		g.Expect(s.namespaceGoes).To(BeZero())
		for _, f := range s.all() {
			drawn[f.name] = true
		}
		for _, j := range s.jobs {
			g.Expect(j.poison).To(Equal(-1))
			g.Expect(j.ending).NotTo(Or(Equal(stripped), Equal(replaced)))
		}
	}
	for _, f := range acrossFailovers.faults() {
		g.Expect(drawn).To(HaveKey(f.name))
	}
}

func TestWhatAFindingCovers(t *testing.T) {
	g := NewWithT(t)
	at := func(sequence int64) oracle.Difference { return oracle.Difference{UID: "a", Sequence: sequence} }
	span := finding{Problem: "missing", UID: "a", Sequence: 3, Detail: "entries 3 to 4: no row and no dead letter"}
	g.Expect([]bool{span.covers(at(2)), span.covers(at(3)), span.covers(at(4)), span.covers(at(5))}).To(Equal([]bool{false, true, true, false}))
	one := finding{Problem: "missing", UID: "a", Detail: "entry 3: no row and no dead letter"}
	g.Expect([]bool{one.covers(at(2)), one.covers(at(3)), one.covers(at(4))}).To(Equal([]bool{false, true, false}))
	end := finding{Problem: "unfinished", UID: "a", Sequence: 3}
	g.Expect([]bool{end.covers(at(3)), end.covers(at(4))}).To(Equal([]bool{false, true}))
	g.Expect(finding{Problem: "unfinished", UID: "b", Sequence: 3}.covers(at(4))).To(BeFalse())
	g.Expect(finding{Problem: "missing", UID: "a", Detail: "the remediation invoked a notification"}.covers(at(4))).To(BeFalse())
}

func TestASeedDrawsTheSameSchedules(t *testing.T) {
	g := NewWithT(t)
	some := map[string]bool{}
	for number := range 50 {
		one, two, other := draw(overAPI, 7, number, ""), draw(overAPI, 7, number, ""), draw(overAPI, 8, number, "")
		g.Expect(one.String()).To(Equal(two.String()))
		g.Expect(one.jobs).To(Equal(two.jobs))
		g.Expect(one.namespaceGoes).To(Equal(two.namespaceGoes))
		g.Expect(one.jobs).NotTo(Equal(other.jobs))
		some[one.String()] = true
	}
	g.Expect(len(some)).To(BeNumerically(">", 25))
}

func TestTwoHundredSchedulesHaveEveryFault(t *testing.T) {
	for _, d := range []drain{overDatabase, overAPI, acrossShards} {
		t.Run(string(d), func(t *testing.T) { haveEveryFault(NewWithT(t), d) })
	}
}

func haveEveryFault(g *WithT, d drain) {
	drawn, endings, places := map[string]bool{}, map[ending]bool{}, map[string]bool{}
	for number := range 200 {
		s := draw(d, 1, number, "")
		watched := true
		for _, f := range s.all() {
			drawn[f.name] = true
			watched = watched && f.watched
		}
		for _, j := range s.jobs {
			endings[j.ending] = true
			switch {
			case j.kind == ledger && j.poison == 0:
				places["first"] = true
			case j.kind == ledger && j.poison == j.entries-1:
				places["last"] = true
			case j.kind == ledger && j.poison > 0:
				places["middle"] = true
			}
			g.Expect((j.ending == stripped || j.ending == replaced || j.strips) && !watched).To(BeFalse(), "schedule %d strips while nobody may be watching", number)
		}
	}
	for _, f := range d.faults() {
		g.Expect(drawn).To(HaveKey(f.name))
	}
	g.Expect(endings).To(HaveLen(7))
	g.Expect(places).To(HaveLen(3))
}

func TestWhatIsWrongIsAFailure(t *testing.T) {
	g := NewWithT(t)
	s := &summary{Faults: map[string]int{}}
	s.add(played{Number: 1, Recovery: 2})
	s.add(played{Number: 2, Recovery: 1})
	g.Expect(s.clean()).To(BeTrue())
	g.Expect(s.LongestSchedule).To(Equal(1))
	s.add(played{Number: 3, Error: "the manager ended by itself"})
	g.Expect(s.clean()).To(BeFalse())
	s.add(played{Number: 4, Report: oracle.Report{Differences: []oracle.Difference{{Class: oracle.Lost}}}})
	g.Expect(s.Failed).To(Equal([]int{3, 4}))
	s = &summary{Differences: []oracle.Difference{{Class: oracle.Foreign}}}
	g.Expect(s.clean()).To(BeFalse())
	g.Expect(summaries{{}, s}.clean()).To(BeFalse())
	g.Expect(summaries{{}}.clean()).To(BeTrue())
}

func TestWhereToDrain(t *testing.T) {
	g := NewWithT(t)
	g.Expect(drains("both")).To(Equal([]drain{overDatabase, overAPI}))
	g.Expect(drains("api")).To(Equal([]drain{overAPI}))
	g.Expect(drains("shards")).To(Equal([]drain{acrossShards}))
	g.Expect(drains("all")).To(Equal([]drain{overDatabase, overAPI, acrossShards, acrossFailovers}))
	_, err := drains("file")
	g.Expect(err).To(MatchError(ContainSubstring("expected database, api, shards, failover, both, all or gateway")))
	both := options{drains: []drain{overDatabase, overAPI}, runs: 5}
	g.Expect(both.schedules(overDatabase)).To(Equal(5))
	g.Expect(both.schedules(overAPI)).To(Equal(2))
	g.Expect(options{drains: []drain{overAPI}, runs: 5}.schedules(overAPI)).To(Equal(5))
}
