package rules_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	testclock "k8s.io/utils/clock/testing"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/rules"
)

var update = flag.Bool("update", false, "write the table of docs/verdicts.md anew")

// page has the table between two marks.
const (
	page  = "../../../docs/verdicts.md"
	begin = "<!-- What follows is written by `go test ./controllers/aianalysis/rules -run TestVerdicts -update`. -->\n"
)

// situation is a row of the table in docs/verdicts.md.
type situation struct {
	seen string
	// make makes it on the API server.
	make func(w *world)
	// kind of the target; a Deployment if empty.
	kind string
	// later is how long after that the rules look.
	later time.Duration
	// recommended is the workflow with its parameters, empty for nothing.
	recommended string
	// auto: sure enough to be approved at 80.
	auto bool
}

// section is a heading with its rows.
type section struct {
	title string
	rows  []situation
}

// sections of the page, in the order of the playbook.
var sections = []section{
	{"Out of memory", memory},
	{"Images", images},
	{"ConfigMaps and Secrets", configuration},
	{"Crashes", crashes},
	{"Pods without a node", scheduling},
	{"Pods that do not get ready", readiness},
	{"Update strategies", strategies},
	{"Nothing to do", nothing},
}

// TestVerdicts makes every row of the page, and compares the page with what the rules say.
func TestVerdicts(t *testing.T) {
	var text strings.Builder
	text.WriteString(begin)
	for _, s := range sections {
		fmt.Fprintf(&text, "\n## %s\n\n| seen | concluded (sure, percent) | recommended (sure, percent) | not recommended, and why |\n|---|---|---|---|\n", s.title)
		for _, row := range s.rows {
			t.Run(s.title+"/"+row.seen, func(t *testing.T) { text.WriteString(row.verdict(t)) })
		}
	}
	if t.Failed() {
		return
	}
	g := NewWithT(t)
	old, err := os.ReadFile(page)
	g.Expect(err).NotTo(HaveOccurred())
	head, _, found := strings.Cut(string(old), begin)
	g.Expect(found).To(BeTrue(), "the page has no line %s", begin)
	if *update {
		g.Expect(os.WriteFile(page, []byte(head+text.String()), 0o600)).To(Succeed())
		return
	}
	g.Expect(head+text.String()).To(Equal(string(old)), "the page is not what the rules say; run the test with -update and look at the difference")
}

// verdict makes the situation, checks what is recommended, and returns the row.
func (row situation) verdict(t *testing.T) string {
	t.Helper()
	w := newWorld(t)
	row.make(w)
	kind := row.kind
	if kind == "" {
		kind = "Deployment"
	}
	f := w.investigate(kind, rules.WithClock(testclock.NewFakePassiveClock(time.Now().Add(row.later))))
	recommended, sure := "", int32(0)
	if r := f.Recommendation; r != nil {
		recommended, sure = command(r), r.Confidence
	}
	w.Expect(recommended).To(Equal(row.recommended), f.RootCause+"\n"+f.NoActionReason)
	approved := sure >= 80
	w.Expect(approved).To(Equal(row.auto), "the confidence is %d", sure)
	return w.row(row.seen, f)
}

// command is the workflow with its parameters.
func command(r *investigator.Recommendation) string {
	text := r.WorkflowID
	for _, name := range slices.Sorted(maps.Keys(r.Parameters)) {
		text += " " + name + "=" + r.Parameters[name]
	}
	return text
}

// row is what the table says of a finding. What the evidence adds to the root cause is left out.
func (w *world) row(seen string, f investigator.Finding) string {
	var cause []string
	for line := range strings.Lines(f.RootCause) {
		if !strings.HasPrefix(line, "- ") {
			cause = append(cause, strings.TrimSpace(line))
		}
	}
	recommended := "**nothing**: " + f.NoActionReason
	if r := f.Recommendation; r != nil {
		recommended = fmt.Sprintf("%#q (%d): %s", command(r), r.Confidence, r.Rationale)
	}
	var rejected []string
	for _, a := range f.Alternatives {
		reason := a.RejectedReason
		if reason == f.NoActionReason {
			reason = "see there."
		}
		rejected = append(rejected, fmt.Sprintf("%#q (%d): %s", a.Action, a.Confidence, reason))
	}
	cells := []string{seen, fmt.Sprintf("%s (%d)", strings.Join(cause, "<br>"), f.RootCauseConfidence), recommended, strings.Join(rejected, "<br>")}
	for i, c := range cells {
		cells[i] = strings.NewReplacer("|", `\|`, "\n", " ", w.namespace+"/", "shop/").Replace(c)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
