package verify

import (
	"slices"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// chainOf is the entries of one resource with these records; the last is final.
func chainOf(t *testing.T, s entry.Source, kind string, records ...any) []relay.Item {
	t.Helper()
	var o *outboxapi.Outbox
	for i, record := range records {
		next, _, err := entry.Append(o, s, entry.Change{Kind: kind, Event: "Changed", Phase: "Working", Record: record, Final: i == len(records)-1}, start, entry.Salt{}, entry.DefaultLimits())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		o = next
	}
	return relay.NewItems(s, "", entry.PendingOf(s.UID, o))
}

func remediation(outcome string, services ...string) models.Orchestration {
	at := outboxapi.NewTime(start)
	return models.Orchestration{RemediationID: "r", SignalFingerprint: "f", SignalReceivedAt: at, RemediationCreatedAt: at, Outcome: outcome, ServicesInvoked: services}
}

func decision(remediationID, status string) models.AIDecision {
	return models.AIDecision{RemediationID: remediationID, InvestigationStartedAt: outboxapi.NewTime(start), RecommendedAction: "rollout-undo", ApprovalStatus: status}
}

// made are the children of a remediation whose analysis is this source.
func made(analysis int) []models.Child {
	return []models.Child{{Service: "AIAnalysis", Name: "a", UID: string(source(analysis).UID)}, {Service: "WorkflowExecution", Name: "w", UID: string(source(4).UID)}}
}

// A repair that nobody decided on is a finding, however it ended.
func TestARemediationWithoutADecision(t *testing.T) {
	elsewhere := source(2)
	elsewhere.Namespace = "another"
	for name, c := range map[string]struct {
		ends     models.Orchestration
		analysis func(t *testing.T) []relay.Item
		want     []string
	}{
		"approved by the policy": {ends: remediation("remediated", "AIAnalysis", "WorkflowExecution"),
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, source(2), entry.KindAIDecision, decision("r", ""), decision("r", "auto-approved"))
			}},
		"approved by a person": {ends: remediation("failed", "AIAnalysis", "WorkflowExecution"),
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, source(2), entry.KindAIDecision, decision("r", "approved"))
			}},
		"rejected, and left alone": {ends: remediation("rejected", "AIAnalysis"),
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, source(2), entry.KindAIDecision, decision("r", "rejected"))
			}},
		"no analysis at all":         {ends: remediation("remediated", "AIAnalysis", "WorkflowExecution"), want: []string{"missing cart-1 2", "undecided cart-1 2"}},
		"no analysis, and it failed": {ends: remediation("failed", "AIAnalysis", "WorkflowExecution"), want: []string{"missing cart-1 2", "undecided cart-1 2"}},
		"remediated by nothing":      {ends: remediation("remediated"), want: []string{"undecided cart-1 2"}},
		"rejected, and run all the same": {ends: remediation("remediated", "AIAnalysis", "WorkflowExecution"), want: []string{"undecided cart-1 2"},
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, source(2), entry.KindAIDecision, decision("r", "rejected"))
			}},
		"approved for another remediation": {ends: remediation("remediated", "AIAnalysis", "WorkflowExecution"), want: []string{"missing cart-1 2", "undecided cart-1 2"},
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, source(2), entry.KindAIDecision, decision("another", "approved"))
			}},
		"approved in another namespace": {ends: remediation("remediated", "AIAnalysis", "WorkflowExecution"), want: []string{"missing cart-1 2", "undecided cart-1 2"},
			analysis: func(t *testing.T) []relay.Item {
				return chainOf(t, elsewhere, entry.KindAIDecision, decision("r", "approved"))
			}},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			db, _ := newStore(t, "")
			persist(t, db, chainOf(t, source(1), entry.KindOrchestration, remediation(""), c.ends))
			if slices.Contains(c.ends.ServicesInvoked, "WorkflowExecution") {
				persist(t, db, chainOf(t, source(3), entry.KindExecution, record(entry.KindExecution, 1)))
			}
			if c.analysis != nil {
				persist(t, db, c.analysis(t))
			}
			report, found := check(t, db, nil, "")
			g.Expect(brief(found)).To(Equal(c.want))
			if c.want == nil {
				g.Expect(report.Verdict).To(Equal(Whole))
			} else {
				g.Expect(report.Verdict).To(Equal(NotWhole))
			}
		})
	}
	t.Run("a row that names its analysis has its decision there", func(t *testing.T) {
		for name, c := range map[string]struct {
			children []models.Child
			want     []string
		}{
			"the one with the approval":       {children: made(3)},
			"another, that nobody approved":   {children: made(2), want: []string{"undecided cart-1 1"}},
			"another, whose rows are missing": {children: made(9), want: []string{"missing cart-1 1", "undecided cart-1 1"}},
			"none, only a workflow":           {children: made(3)[1:]},
			"one without a uid":               {children: []models.Child{{Service: "AIAnalysis", Name: "a"}}},
			"one whose uid is none":           {children: []models.Child{{Service: "AIAnalysis", Name: "a", UID: "no uid"}}, want: []string{"missing cart-1 1", "undecided cart-1 1"}},
			"one that is not the workflow":    {children: []models.Child{made(3)[0], {Service: "WorkflowExecution", Name: "w", UID: string(source(9).UID)}}, want: []string{"missing cart-1 1"}},
		} {
			t.Run(name, func(t *testing.T) {
				g := NewWithT(t)
				db, _ := newStore(t, "")
				ends := remediation("remediated", "AIAnalysis", "WorkflowExecution")
				ends.Children = c.children
				persist(t, db, chainOf(t, source(1), entry.KindOrchestration, ends))
				persist(t, db, chainOf(t, source(2), entry.KindAIDecision, decision("r", "")))
				persist(t, db, chainOf(t, source(3), entry.KindAIDecision, decision("r", "approved"))) // by hand, unless the row names it
				persist(t, db, chainOf(t, source(4), entry.KindExecution, record(entry.KindExecution, 1)))
				_, found := check(t, db, nil, "")
				g.Expect(brief(found)).To(Equal(c.want))
			})
		}
	})
	t.Run("the approval is a dead letter", func(t *testing.T) {
		g := NewWithT(t)
		db, _ := newStore(t, "")
		persist(t, db, chainOf(t, source(1), entry.KindOrchestration, remediation("remediated", "AIAnalysis", "WorkflowExecution")))
		persist(t, db, chainOf(t, source(3), entry.KindExecution, record(entry.KindExecution, 1)))
		items := chainOf(t, source(2), entry.KindAIDecision, map[string]any{"remediation_id": "r", "investigation_started_at": "no time", "approval_status": "approved"})
		persist(t, db, items)
		_, found := check(t, db, nil, "")
		g.Expect(found).To(BeEmpty())
	})
}

// What cannot be looked at is not whole.
func TestTheCRDsAreGone(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	persist(t, db, chainOf(t, source(1), entry.KindNotification, record(entry.KindNotification, 1)))
	gone := Resources{}
	for kind := range DefaultResources() {
		gone[kind] = schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: "gone"}
	}
	live, err := Cluster(env.Config, gone)
	g.Expect(err).NotTo(HaveOccurred())
	report, found := check(t, db, live, "")
	g.Expect(found).To(BeEmpty())
	g.Expect(report.Verdict).To(Equal(Unknown))
	g.Expect(report.NotCompared).To(Equal([]string{entry.KindNotification}))

	t.Run("a finding is a finding all the same", func(t *testing.T) {
		g := NewWithT(t)
		tamper(t, db, "UPDATE notification_audit SET subject = 'forged'")
		report, _ := check(t, db, live, "")
		g.Expect(report.Verdict).To(Equal(NotWhole))
	})
	t.Run("without any row there is nothing to compare", func(t *testing.T) {
		g := NewWithT(t)
		empty, _ := newStore(t, "")
		report, _ := check(t, empty, live, "")
		g.Expect(report.Verdict).To(Equal(Whole))
	})
}

// A child whose whole life is missing leaves no chain that could be broken: its request says that it was there.
func TestAChildWhoseWholeLifeIsMissing(t *testing.T) {
	services := map[string]string{"AIAnalysis": entry.KindAIDecision, "WorkflowExecution": entry.KindExecution, "Notification": entry.KindNotification}
	for gone := range services {
		t.Run(gone, func(t *testing.T) {
			g := NewWithT(t)
			db, _ := newStore(t, "")
			persist(t, db, chainOf(t, source(1), entry.KindOrchestration, remediation(""), remediation("remediated", "AIAnalysis", "WorkflowExecution", "Notification")))
			n := 2
			for service, kind := range services {
				if n++; service != gone {
					child := record(kind, 1)
					if kind == entry.KindAIDecision {
						child = decision("r", "approved")
					}
					persist(t, db, chainOf(t, source(n), kind, child))
				}
			}
			// A message that asked for the decision is a notification, too, and not the one that told the outcome.
			asked := record(entry.KindNotification, 1).(models.Notification)
			asked.Purpose = "ApprovalNeeded"
			persist(t, db, chainOf(t, source(9), entry.KindNotification, asked))
			_, found := check(t, db, nil, "")
			g.Expect(brief(found)).To(ContainElement("missing cart-1 2"))
			g.Expect(found[0].Detail).To(ContainSubstring("invoked " + gone + ", but its trail has no row"))
		})
	}
	t.Run("one that may still come is not missing", func(t *testing.T) {
		db, _ := newStore(t, "")
		persist(t, db, history(t, source(1), entry.KindOrchestration, 2, false))
		_, found := check(t, db, nil, "")
		NewWithT(t).Expect(found).To(BeEmpty())
	})
}

// The column source_cluster is no part of the entry: that nobody changes it is held by what stands beside it.
func TestAChangedClusterIsFound(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "prod")
	persist(t, db, history(t, source(1), entry.KindNotification, 3, false))
	tamper(t, db, "UPDATE notification_audit SET source_cluster = 'elsewhere' WHERE sequence > 1")
	_, found := check(t, db, nil, "prod")
	g.Expect(brief(found)).To(ConsistOf("column cart-1 2", "column cart-1 3"))

	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	execute(t, db, "UPDATE notification_audit SET source_cluster = 'elsewhere'")
	report, found := check(t, db, &only{Live: live, namespace: "none"}, "prod")
	g.Expect(found).To(BeEmpty())
	g.Expect(report.Verdict).To(Equal(Unknown), "an unfinished record of a cluster that nobody has named is not whole")
	g.Expect(report.NotCompared).To(Equal([]string{`cluster "elsewhere"`}))
}

// One row with a name that no resource can have must not keep the auditor from everything behind it.
func TestARowOfAnImpossibleNameEndsNothing(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	for i, name := range []string{"a/b", "..", "", "UPPER", "x y", "a?b=c", "\u0001"} {
		s := source(i + 2)
		s.Name = name
		if name == "" {
			s.Namespace, s.Name = "a/b", "cart"
		}
		persist(t, db, history(t, s, entry.KindExecution, 1, false))
	}
	persist(t, db, chainOf(t, source(1), entry.KindOrchestration, remediation("remediated")))
	live, err := Cluster(env.Config, DefaultResources())
	g.Expect(err).NotTo(HaveOccurred())
	_, found := check(t, db, &only{Live: live, namespace: "none"}, "")
	g.Expect(found).To(HaveLen(8))
	g.Expect(found).To(ContainElement(HaveField("Problem", Undecided)))
	g.Expect(found[:7]).To(HaveEach(HaveField("Problem", Invented)))
}

// A dead letter excuses what it may be, and nothing else.
func TestADeadLetterOfElsewhereExcusesNothing(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	persist(t, db, chainOf(t, source(1), entry.KindOrchestration, remediation("remediated")))
	elsewhere := source(2)
	elsewhere.Namespace = "another"
	bad := func(s entry.Source, remediation string) {
		persist(t, db, chainOf(t, s, entry.KindAIDecision, map[string]any{"remediation_id": remediation, "investigation_started_at": "no time", "root_cause": `"remediation_id":"r" r`}))
	}
	bad(elsewhere, "r")
	bad(source(3), "another, not r")
	_, found := check(t, db, nil, "")
	g.Expect(brief(found)).To(Equal([]string{"undecided cart-1 1"}))
	bad(source(4), "r")
	_, found = check(t, db, nil, "")
	g.Expect(found).To(BeEmpty())

	// A remediation that names what it made is excused by that alone, whatever another resource in its namespace says.
	named := remediation("remediated")
	named.RemediationID, named.Children = "s", made(6)[:1]
	persist(t, db, chainOf(t, source(5), entry.KindOrchestration, named))
	bad(source(7), "s")
	text := outboxapi.Entry(`no entry "remediation_id":"s"`)
	persist(t, db, relay.NewItems(source(8), "AIAnalysis", entry.PendingOf(source(8).UID, &outboxapi.Outbox{LastSequence: 1, HeadHash: entry.Hash([]byte(text)), Entries: []outboxapi.Entry{text}})))
	_, found = check(t, db, nil, "")
	g.Expect(brief(found)).To(ConsistOf("changed cart-8 1", "undecided cart-5 1"))
	bad(source(6), "s")
	_, found = check(t, db, nil, "")
	g.Expect(brief(found)).To(Equal([]string{"changed cart-8 1"}))
}
