package rar_test

import (
	"crypto/sha256"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/rar"
)

func automatic(t *testing.T) *rar.Input {
	return newStory(t).recommends(90).auto().runs(13).works(28).tells(28, "remediated", "").input()
}

// Whatever somebody does to a row is found, and the report says so.
func TestAChangeToARowIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(in *rar.Input)
		says   string
	}{
		"a column":        {func(in *rar.Input) { find(in.Rows, uid(1), 5).(*models.OrchestrationRow).Outcome = "failed" }, "column outcome does not say"},
		"the final mark":  {func(in *rar.Input) { find(in.Rows, uid(1), 2).Head().Final = true }, "column final does not say"},
		"the phase":       {func(in *rar.Input) { find(in.Rows, uid(3), 1).Head().Phase = "Failed" }, "column phase does not say"},
		"the time":        {func(in *rar.Input) { find(in.Rows, uid(3), 1).Head().RecordedAt = *stamp("13:00:00") }, "column recorded_at does not say"},
		"the text":        {func(in *rar.Input) { find(in.Rows, uid(1), 2).Head().Entry += " " }, "its text does not have the hash"},
		"another text":    {func(in *rar.Input) { rehash(find(in.Rows, uid(1), 2), find(in.Rows, uid(1), 3).Head().Entry) }, "has another place in its text"},
		"no entry":        {func(in *rar.Input) { rehash(find(in.Rows, uid(1), 2), "x") }, "its text cannot be read"},
		"a moved entry":   {func(in *rar.Input) { find(in.Rows, uid(1), 5).Head().Sequence = 9 }, "has another place in its text"},
		"another history": {func(in *rar.Input) { in.Rows = append(in.Rows, find(automaticOf(t, 80).Rows, uid(1), 3)) }, "two histories"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in := automatic(t)
			c.change(in)
			r := rar.Build(in)
			g.Expect(r.Complete.State).To(Equal(rar.StatePartial))
			g.Expect(r.Complete.Chain.Verified).To(BeFalse())
			g.Expect(r.Complete.Chain.Faults).To(ContainElement(HaveField("Text", ContainSubstring(c.says))))
			for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML, rar.FormatSVG} {
				g.Expect(string(render(t, r, format))).To(ContainSubstring("This record is damaged"), format)
			}
		})
	}
}

func automaticOf(t *testing.T, confidence float64) *rar.Input {
	return newStory(t).recommends(confidence).auto().runs(13.5).works(28).tells(28, "remediated", "").input()
}

// rehash gives a row another text, with a hash that agrees.
func rehash(r models.Row, text string) {
	sum := sha256.Sum256([]byte(text))
	r.Head().Entry, r.Head().EntryHash = text, sum[:]
}

// A figure that strangers could move would be theirs.
func TestStrangersChangeNoFigure(t *testing.T) {
	g := NewWithT(t)
	in := histories["strangers"](t)
	with := rar.Build(in)
	without := rar.Build(automatic(t))
	g.Expect(with.OtherRows).To(HaveLen(3))
	with.OtherRows, without.OtherRows = nil, nil
	for _, q := range []*rar.Report{with, without} {
		q.Compliance = q.Compliance[:len(q.Compliance)-1] // whether others wrote
	}
	g.Expect(render(t, with, rar.FormatJSON)).To(Equal(render(t, without, rar.FormatJSON)))
}

func TestWindowsThatAreNotOverAreNotGuessed(t *testing.T) {
	in := automatic(t)
	end := at("14:00:36.5")
	back := []rar.Recurrence{{ID: uid(700), RemediationID: uid(701), SourceNamespace: "production", SourceUID: uid(701), Sequence: 1, SignalReceivedAt: outboxapi.NewTime(end.Add(2 * time.Hour))}}
	for name, c := range map[string]struct {
		after       time.Duration
		recurrences []rar.Recurrence
		held        map[string]string
		verdict     string
	}{
		"too early":             {time.Minute, nil, map[string]string{"1h": "too-early", "24h": "too-early", "7d": "too-early"}, rar.VerdictUnproven},
		"an hour":               {time.Hour, nil, map[string]string{"1h": "yes", "24h": "too-early", "7d": "too-early"}, rar.VerdictUnproven},
		"a day":                 {24 * time.Hour, nil, map[string]string{"1h": "yes", "24h": "yes", "7d": "too-early"}, rar.VerdictCorrect},
		"a week":                {7 * 24 * time.Hour, nil, map[string]string{"1h": "yes", "24h": "yes", "7d": "yes"}, rar.VerdictCorrect},
		"back after two hours":  {3 * time.Hour, back, map[string]string{"1h": "yes", "24h": "no", "7d": "no"}, rar.VerdictIncorrect},
		"it will come back yet": {time.Hour, back, map[string]string{"1h": "yes", "24h": "too-early", "7d": "too-early"}, rar.VerdictUnproven},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			in.AsOf, in.Recurrences = end.Add(c.after), c.recurrences
			r := rar.Build(in)
			g.Expect(r.Effectiveness.Held).To(Equal(c.held))
			g.Expect(r.AI.Verdict).To(Equal(c.verdict))
		})
	}
	g := NewWithT(t)
	elsewhere := back[0]
	elsewhere.SourceNamespace = "staging"
	in.AsOf, in.Recurrences = end.Add(3*time.Hour), []rar.Recurrence{elsewhere}
	g.Expect(rar.Build(in).Effectiveness.Recurrences).To(BeEmpty(), "the same name in another namespace is another target")
}

func TestHindsightComparesWithWhatWasRecommended(t *testing.T) {
	g := NewWithT(t)
	in := newStory(t).recommends(90).auto().runs(13).fails(140).tells(146, "failed", "").input()
	for i, c := range comparableCases(15) {
		if c.WorkflowID = "restart-rollout"; i%3 == 0 {
			c.WorkflowID, c.Outcome = "rollback-deployment", "failed"
		}
		in.Later = append(in.Later, c)
	}
	alternative := rar.Build(in).AI.Alternatives[0]
	g.Expect(alternative.Hindsight).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{"Verdict": Equal(rar.HindsightBetter), "N": BeEquivalentTo(10), "Success": BeEquivalentTo(9), "Refs": Not(BeEmpty())}))
}

func TestRecommendationsNeedTheirFigures(t *testing.T) {
	rules := func(in *rar.Input) (all []string) {
		for _, r := range rar.Build(in).Recommendations {
			all = append(all, r.Rule)
		}
		return all
	}
	g := NewWithT(t)
	in := worked(t)
	g.Expect(rules(in)).To(Equal([]string{"approve-automatically", "investigator-slower-than-repair"}))
	in.Earlier[3].ApprovalStatus = "rejected"
	g.Expect(rules(in)).NotTo(ContainElement("approve-automatically"), "people refused it once")
	in.Earlier = in.Earlier[:7]
	g.Expect(rules(in)).To(BeEmpty(), "seven are too few")

	in = histories["expired"](t)
	in.Earlier = comparableCases(12)
	g.Expect(rules(in)).To(ContainElement("timeout-too-long"), "people take two minutes, not an hour")
	for i := range in.Earlier {
		in.Earlier[i].ApprovalDurationSeconds = ptr.To(int64(3500))
	}
	g.Expect(rules(in)).To(ContainElement("timeout-too-short"))

	in = histories["rolled-back"](t)
	g.Expect(rules(in)).NotTo(ContainElement("retry-never-helped"))
	for _, c := range comparableCases(3) {
		c.WorkflowID, c.RetriesPerformed, c.ExecutionOutcome = "rollback-deployment", ptr.To(int64(1)), "failure"
		in.Earlier = append(in.Earlier, c)
	}
	g.Expect(rules(in)).To(ContainElement("retry-never-helped"))
	in.Earlier[0].ExecutionOutcome = "success"
	g.Expect(rules(in)).NotTo(ContainElement("retry-never-helped"))

	in = automatic(t) // slack took the message at the second attempt
	g.Expect(rules(in)).NotTo(ContainElement("failing-channel"), "one failed attempt is none of a failing channel")
	in.Deliveries = []rar.Deliveries{{Channel: "console", N: 90, Failed: 90}, {Channel: "slack", N: 7, Failed: 7, Lost: 7}}
	g.Expect(rules(in)).NotTo(ContainElement("failing-channel"), "seven are too few, and the console took it at once")
	in.Deliveries[1] = rar.Deliveries{Channel: "slack", N: 90, Failed: 8, Lost: 1}
	g.Expect(rules(in)).NotTo(ContainElement("failing-channel"), "fewer than one in ten")
	in.Deliveries[1].Failed = 9
	g.Expect(rules(in)).To(ContainElement("failing-channel"))
}

// Two megabytes of prose are shown in part, and the report says so.
func TestLongTextsAreBounded(t *testing.T) {
	g := NewWithT(t)
	in := postedOnly(t)
	prose := make([]byte, 2<<20)
	for i := range prose {
		prose[i] = 'a' + byte(i%26)
	}
	in.Rows = append(in.Rows, post(90, "x", &models.AIDecisionRow{AIDecision: models.AIDecision{RemediationID: "by-hand-17", InvestigationStartedAt: *stamp("09:05:00"), RootCause: string(prose), RecommendedAction: "clean-disk"}}, "09:41:00"))
	r := rar.Build(in)
	g.Expect(r.AI.RootCause).To(HaveLen(2 << 20))
	for _, format := range []string{rar.FormatMarkdown, rar.FormatHTML, rar.FormatSVG} {
		text := render(t, r, format)
		g.Expect(len(text)).To(BeNumerically("<", 100<<10), format)
		if format != rar.FormatSVG {
			g.Expect(string(text)).To(ContainSubstring("The text has 2097152 bytes and is cut here"))
		}
	}
}

// The page may load nothing, run nothing, and its policy allows the style that it has.
func TestThePageIsSelfContained(t *testing.T) {
	g := NewWithT(t)
	page := string(render(t, rar.Build(worked(t)), rar.FormatHTML))
	for _, never := range []string{"<script", "http://", "https://", "url(", "@import", " style=", "javascript:"} {
		if never == "http://" {
			continue // the namespace of SVG
		}
		g.Expect(page).NotTo(ContainSubstring(never))
	}
	g.Expect(page).To(ContainSubstring(`<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;; style-src &#39;sha256-`))
	g.Expect(rar.ContentSecurityPolicy()).To(HavePrefix("default-src 'none'; style-src 'sha256-"))
}

func TestAnUnknownFormatIsNamed(t *testing.T) {
	NewWithT(t).Expect(rar.Render(nil, rar.Build(worked(t)), "pdf")).To(MatchError(`format is "pdf", expected one of ["json" "md" "html" "svg"]`))
}
