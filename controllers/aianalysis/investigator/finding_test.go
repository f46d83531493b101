package investigator_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
)

func load(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	c, err := catalogue.Default()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func finding() investigator.Finding {
	return investigator.Finding{
		RootCause:           "it crashes",
		RootCauseConfidence: 90,
		Recommendation:      &investigator.Recommendation{WorkflowID: "rollout-undo", Confidence: 85, Rationale: "it began with the rollout"},
		Alternatives:        []investigator.Alternative{{Action: "rollout-restart", Confidence: 20, RejectedReason: "same template"}},
	}
}

func TestAUsableFindingStaysAsItIs(t *testing.T) {
	g := NewWithT(t)
	got, err := investigator.Check(load(t), "Deployment", finding())
	g.Expect(err).NotTo(HaveOccurred())
	want := finding()
	want.Alternatives[0].WorkflowID = "rollout-restart"
	g.Expect(got).To(Equal(want))
}

func TestWhatWasLookedAtIsBounded(t *testing.T) {
	g := NewWithT(t)
	f := finding()
	const key = "ghp_0123456789abcdefghijklmnopqrstuvwxyz"
	f.Evidence = []investigator.Evidence{
		{Tool: "kubectl_logs\x00", Purpose: "the log of cart", Excerpt: "it says token=" + key},
		{Excerpt: strings.Repeat("a line\n", 20_000)},
		{Tool: "one line", Excerpt: strings.Repeat("x", 70_000) + key},
	}
	got, err := investigator.Check(load(t), "Deployment", f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Evidence).To(HaveLen(3))
	g.Expect(got.Evidence[0]).To(Equal(investigator.Evidence{Tool: "kubectl_logs\uFFFD", Purpose: "the log of cart", Excerpt: "it says token=[redacted: github-token]"}))
	g.Expect(got.Evidence[1]).To(And(HaveField("Tool", "(unnamed)"), HaveField("Excerpt", And(HavePrefix("a line\n"), ContainSubstring("[cut: ")))))
	g.Expect(got.Evidence[2].Excerpt).To(HavePrefix("… [cut: 70040 bytes, sha256 "), "a line that was not searched to its end is not kept")

	for range 30 {
		f.Evidence = append(f.Evidence, investigator.Evidence{Tool: "more", Excerpt: strings.Repeat("\"", 5000)})
	}
	got, err = investigator.Check(load(t), "Deployment", f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Evidence).To(HaveLen(investigator.MaxEvidence))
	g.Expect(got.Evidence[18].Excerpt).To(And(HavePrefix(`"""`), Satisfy(func(s string) bool { return len(s) <= investigator.MaxExcerpt })))
	g.Expect(got.Evidence[19]).To(Equal(investigator.Evidence{Tool: "holdfast", Purpose: "14 more evidence items are omitted"}))
}

func TestWhatCannotBeRunIsNotRecommended(t *testing.T) {
	for name, c := range map[string]struct {
		kind     string
		workflow string
		params   map[string]string
		expected string
	}{
		"unknown workflow":   {"Deployment", "delete-namespace", nil, `"delete-namespace" is not in the catalogue`},
		"no workflow":        {"Deployment", "", nil, `"" is not in the catalogue`},
		"wrong kind":         {"DaemonSet", "scale", map[string]string{"replicas": "2"}, "cannot be run on a DaemonSet"},
		"missing parameter":  {"Deployment", "scale", nil, "replicas is missing"},
		"unknown parameter":  {"Deployment", "rollout-restart", map[string]string{"force": "1"}, `"force" is not a parameter`},
		"parameter is wrong": {"Deployment", "increase-memory", map[string]string{"memoryLimit": "loads"}, `memoryLimit is "loads"`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			f := finding()
			f.Recommendation.WorkflowID, f.Recommendation.Parameters = c.workflow, c.params
			got, err := investigator.Check(load(t), c.kind, f)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.Recommendation).To(BeNil())
			g.Expect(got.NoActionReason).To(ContainSubstring(c.expected))
			g.Expect(got.Alternatives).To(HaveLen(2))
			g.Expect(got.Alternatives[0].Confidence).To(Equal(int32(85)))
			g.Expect(got.Alternatives[0].RejectedReason).To(ContainSubstring(c.expected))
		})
	}
}

func TestConfidencesOutOfRangeAreRefused(t *testing.T) {
	for name, change := range map[string]func(*investigator.Finding){
		"root cause":     func(f *investigator.Finding) { f.RootCauseConfidence = 900 },
		"recommendation": func(f *investigator.Finding) { f.Recommendation.Confidence = 101 },
		"alternative":    func(f *investigator.Finding) { f.Alternatives[0].Confidence = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			f := finding()
			change(&f)
			_, err := investigator.Check(load(t), "Deployment", f)
			NewWithT(t).Expect(err).To(MatchError(investigator.ErrAnswer))
		})
	}
}

func TestAFindingWithoutARootCauseIsRefused(t *testing.T) {
	f := finding()
	f.RootCause = " \n "
	_, err := investigator.Check(load(t), "Deployment", f)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("root cause is empty")))
}

func TestNothingToDoAlwaysHasAReason(t *testing.T) {
	g := NewWithT(t)
	f := finding()
	f.Recommendation = nil
	got, err := investigator.Check(load(t), "Deployment", f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.NoActionReason).NotTo(BeEmpty())
}

func TestAlternativesAreBounded(t *testing.T) {
	g := NewWithT(t)
	f := finding()
	for range 50 {
		f.Alternatives = append(f.Alternatives, investigator.Alternative{Action: strings.Repeat("x", 4000), RejectedReason: strings.Repeat("y", 4000)})
	}
	got, err := investigator.Check(load(t), "Deployment", f)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(got.Alternatives).To(HaveLen(investigator.MaxAlternatives))
	g.Expect(len(got.Alternatives[7].Action)).To(BeNumerically("<=", investigator.MaxAction))
	g.Expect(got.Alternatives[7].RejectedReason).To(ContainSubstring("[cut: 4000 bytes, sha256 "))
}

func TestCleanReplacesWhatCannotBeKept(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		limit := rapid.IntRange(120, 400).Draw(t, "limit")
		clean := investigator.Clean(text, limit)
		if len(clean) > limit {
			t.Fatalf("%d bytes, expected at most %d", len(clean), limit)
		}
		if !utf8.ValidString(clean) {
			t.Fatalf("%q is not UTF-8", clean)
		}
		if strings.ContainsFunc(clean, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
			t.Fatalf("%q has control characters", clean)
		}
	})
	g := NewWithT(t)
	g.Expect(investigator.Clean("a\x00b\x1bc\r\nd\te\xff", 100)).To(Equal("a\uFFFDb\uFFFDc\nd\te\uFFFD"))
}
