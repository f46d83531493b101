package verify

import (
	"fmt"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// accept acknowledges findings.
func accept(found ...Finding) []Acknowledgement {
	var all []Acknowledgement
	for i := range found {
		all = append(all, Acknowledgement{Place: found[i].Place(), Seen: found[i].Seen, Acknowledged: Acknowledged{By: "jane@example.com", Time: start, Reason: "The finalizer was stripped"}})
	}
	return all
}

func checkWith(t *testing.T, s *postgres.Store, live Live, acknowledged []Acknowledgement) (Report, []Finding) {
	t.Helper()
	var open []Finding
	report, err := Run(t.Context(), s, live, Options{Acknowledged: acknowledged}, func(f Finding) {
		if f.Acknowledged == nil {
			open = append(open, f)
		}
	})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(report.Findings).To(Equal(len(open)))
	return report, open
}

func emptyCluster(t *testing.T) Live {
	t.Helper()
	live, err := Cluster(env.Config, DefaultResources())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return &only{Live: live, namespace: "none"}
}

func TestAnUnfinishedRecordCanBeAcknowledged(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	persist(t, s, history(t, source(1), entry.KindNotification, 5, true))
	persist(t, s, history(t, source(6), entry.KindNotification, 3, false))
	live := emptyCluster(t)
	_, found := checkWith(t, s, live, nil)
	g.Expect(brief(found)).To(ConsistOf("unfinished cart-6 3"))

	report, open := checkWith(t, s, live, accept(found...))
	g.Expect(open).To(BeEmpty())
	g.Expect(report).To(And(HaveField("Verdict", OnlyAcknowledged), HaveField("Acknowledged", 1), HaveField("Intact", false), HaveField("Unmatched", BeEmpty())))

	persist(t, s, history(t, source(7), entry.KindNotification, 2, false))
	report, open = checkWith(t, s, live, accept(found...))
	g.Expect(brief(open)).To(ConsistOf("unfinished cart-7 2"), "a new one does not hide behind it")
	g.Expect(report).To(And(HaveField("Verdict", NotWhole), HaveField("Acknowledged", 1)))

	report, open = checkWith(t, s, nil, accept(found...))
	g.Expect(open).To(BeEmpty())
	g.Expect(report.Unmatched).To(BeEmpty(), "nobody looked for the resource")
	g.Expect(report.Notes).To(ContainElement(ContainSubstring("1 acknowledged findings depend on live resources")))
}

// Whatever happens after a finding was acknowledged, it is found, or the acknowledgement matches nothing any more.
func TestAnAcknowledgementHidesNothingThatHappensLater(t *testing.T) {
	const forged = ", entry = replace(entry, 'subject 1', 'subject Z'), entry_hash = sha256(convert_to(replace(entry, 'subject 1', 'subject Z'), 'UTF8'))"
	beginnings := map[string]string{
		"unfinished":       "",
		"a gap":            "DELETE FROM notification_audit" + at(3),
		"a changed text":   "UPDATE notification_audit SET entry = replace(entry, 'subject 2', 'subject X')" + at(3),
		"a changed column": "UPDATE notification_audit SET subject = 'forged'" + at(3),
		"a replaced entry": "UPDATE notification_audit SET subject = 'subject X', entry = replace(entry, 'subject 2', 'subject X')" + rehash + at(3),
	}
	later := map[string]string{
		"another forged entry before it": "UPDATE notification_audit SET subject = 'subject Z'" + forged + at(2),
		"the same column again":          "UPDATE notification_audit SET subject = 'forged again'" + at(3),
		"another column":                 "UPDATE notification_audit SET failure_reason = 'forged'" + at(3),
		"the text again":                 "UPDATE notification_audit SET entry = entry || ' '" + at(3),
		"another name of it":             "UPDATE notification_audit SET source_name = 'other'" + at(3),
		"a forged end":                   "UPDATE notification_audit SET final = true" + at(4),
		"one more is gone":               "DELETE FROM notification_audit" + at(4),
		"one more before it is gone":     "DELETE FROM notification_audit" + at(2),
		"all of it is gone":              "DELETE FROM notification_audit",
	}
	for before, first := range beginnings {
		for after, second := range later {
			t.Run(before+", then "+after, func(t *testing.T) {
				g := NewWithT(t)
				s, _ := newStore(t, "")
				persist(t, s, history(t, source(4), entry.KindNotification, 5, false))
				live := emptyCluster(t)
				if first != "" {
					tamper(t, s, first)
				}
				_, found := checkWith(t, s, live, nil)
				g.Expect(found).NotTo(BeEmpty())
				report, open := checkWith(t, s, live, accept(found...))
				g.Expect(open).To(BeEmpty())
				g.Expect(report.Unmatched).To(BeEmpty())

				tamper(t, s, "SELECT")
				result, err := s.DB().ExecContext(t.Context(), second)
				g.Expect(err).NotTo(HaveOccurred())
				if n, _ := result.RowsAffected(); n == 0 {
					t.Skip("there is nothing to change")
				}
				report, open = checkWith(t, s, live, accept(found...))
				g.Expect(len(open)+len(report.Unmatched)).To(BeNumerically(">", 0), "%+v", report)
			})
		}
	}
}

// An acknowledgement is of one finding, as it was: everything that it says must agree.
func TestAnAcknowledgementCoversOneFindingOnly(t *testing.T) {
	g := NewWithT(t)
	s, _ := newStore(t, "")
	persist(t, s, history(t, source(6), entry.KindNotification, 3, false))
	persist(t, s, history(t, source(7), entry.KindNotification, 3, false))
	live := emptyCluster(t)
	_, found := checkWith(t, s, live, nil)
	g.Expect(found).To(HaveLen(2))
	for name, change := range map[string]func(*Acknowledgement){
		"another uid":      func(a *Acknowledgement) { a.UID = found[1].UID },
		"no uid":           func(a *Acknowledgement) { a.UID = "" },
		"another sequence": func(a *Acknowledgement) { a.Sequence = 2 },
		"another problem":  func(a *Acknowledgement) { a.Problem = Changed },
		"another's seen":   func(a *Acknowledgement) { a.Seen = found[1].Seen },
	} {
		acknowledged := accept(found[0])
		change(&acknowledged[0])
		report, open := checkWith(t, s, live, acknowledged)
		g.Expect(open).To(HaveLen(2), name)
		g.Expect(report.Unmatched).To(HaveLen(1), name)
	}
}

func TestAFileOfAcknowledgementsIsReadStrictly(t *testing.T) {
	good := `{problem: unfinished, uid: 3c1dd7ac-0000-4000-8000-000000000001, sequence: 3, seen: ` + strings.Repeat("ab", 32) + `, by: jane, time: 2026-11-23T04:05:06Z, reason: stripped}`
	now := start.Add(time.Hour)
	all, err := ReadAcknowledged(strings.NewReader("acknowledged:\n- "+good+"\n"), now)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(all).To(HaveLen(1))
	NewWithT(t).Expect(all[0]).To(And(HaveField("Problem", Unfinished), HaveField("Sequence", int64(3)), HaveField("Time", BeTemporally("==", start.Truncate(time.Second)))))
	all, err = ReadAcknowledged(strings.NewReader(`{"acknowledged": [{"problem": "changed", "id": "x", "seen": "`+strings.Repeat("0", 64)+`", "by": "j", "time": "2026-11-23T04:05:06Z", "reason": "r"}]}`), now)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	NewWithT(t).Expect(all).To(HaveLen(1))

	with := func(old, new string) string {
		return "acknowledged:\n- " + strings.Replace(good, old, new, 1) + "\n"
	}
	for name, c := range map[string]struct{ file, says string }{
		"no YAML":          {"acknowledged: [", "not a list of acknowledgements"},
		"another list":     {"findings: []", `unknown field "findings"`},
		"a misspelt field": {with("reason", "reasons"), `unknown field "reasons"`},
		"a field twice":    {with("by: jane", "by: jane, by: joe"), `"by" already set`},
		"two documents":    {"acknowledged: []\n---\nacknowledged: []\n", "more than one document"},
		"no problem":       {with("problem: unfinished, ", ""), `acknowledged[0].problem is "", expected one of changed`},
		"any problem":      {with("unfinished", `"*"`), `acknowledged[0].problem is "*"`},
		"any resource":     {with("uid: 3c1dd7ac-0000-4000-8000-000000000001, ", ""), "expected those of the finding"},
		"nothing seen":     {with(strings.Repeat("ab", 32), "''"), "acknowledged[0].seen is"},
		"nobody":           {with("jane", "' '"), "acknowledged[0].by is"},
		"no reason":        {with("stripped", "''"), "acknowledged[0].reason is"},
		"no time":          {with("time: 2026-11-23T04:05:06Z, ", ""), "acknowledged[0].time is"},
		"a time to come":   {with("2026-11-23", "2027-11-23"), "acknowledged[0].time is 2027-11-23T04:05:06Z, expected the time"},
		"no time at all":   {with("2026-11-23T04:05:06Z", "yesterday"), "not a list of acknowledgements"},
		"the same twice":   {with("", "") + "- " + good, "acknowledged[1] repeats acknowledged[0]"},
		"too much":         {strings.Repeat("#", maxAcknowledgedBytes+1), fmt.Sprintf("more than %d bytes", maxAcknowledgedBytes)},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ReadAcknowledged(strings.NewReader(c.file), now)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.says)))
		})
	}
}
