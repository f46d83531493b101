package rar

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// markdown writes GitHub's Markdown. What comes from rows is either escaped or in a fence: it opens no heading, link, image, list, table cell or HTML.
type markdown struct{ strings.Builder }

func (r *Report) writeMarkdown(w io.Writer) error {
	m := &markdown{}
	m.head(r)
	m.story(r)
	m.time(r)
	m.recommendations(r)
	m.ai(r)
	m.approval(r)
	m.execution(r)
	m.effect(r)
	m.history(r)
	m.compliance(r)
	m.timeline(r)
	m.evidence(r)
	_, err := io.WriteString(w, m.String())
	return err
}

// special are the characters that mean something within a line.
const special = "\\`*_{}[]<>#|~&!$"

// md escapes a text for within a line.
func md(text string) string {
	var b strings.Builder
	text = line(text, maxInline)
	for i, r := range text {
		rest := text[i:]
		switch {
		case strings.ContainsRune(special, r),
			r == ':' && strings.HasPrefix(rest, "://"), // GitHub makes links of bare addresses, too
			r == ':' && (strings.HasSuffix(strings.ToLower(text[:i]), "mailto") || strings.HasSuffix(strings.ToLower(text[:i]), "xmpp")),
			r == '.' && strings.HasSuffix(strings.ToLower(text[:i]), "www"),
			i == 0 && strings.ContainsRune("-+=", r),
			r == '@' && (i == 0 || strings.ContainsAny(text[i-1:i], " (:,;/")), // a mention
			r == '.' && digits(text[:i]), r == ')' && digits(text[:i]):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// digits reports whether a text is a number, which a dot or a parenthesis would make an item of a list.
func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// code is a text as code, for ids and names.
func code(text string) string {
	text = strings.ReplaceAll(line(text, maxInline), "|", "¦") // tables split cells before code
	if text == "" {
		return "–"
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + text + fence
}

func longestRun(text string, of byte) (longest int) {
	run := 0
	for i := range len(text) {
		if text[i] != of {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

func (m *markdown) line(format string, arguments ...any) {
	fmt.Fprintf(m, format+"\n", arguments...)
}

func (m *markdown) section(title string) { m.line("\n## %s\n", title) }

// prose puts a text into a fence, where nothing has a meaning, in lines that a terminal shows.
func (m *markdown) prose(text string) {
	if text == "" {
		return
	}
	shown, note := prose(text)
	fence := strings.Repeat("`", max(3, longestRun(shown, '`')+1))
	m.line("\n%stext", fence)
	for l := range strings.SplitSeq(shown, "\n") {
		m.line("%s", wrapped(l, 100))
	}
	m.line("%s\n", fence)
	if note != "" {
		m.line("%s\n", note)
	}
}

// wrapped breaks a line at blanks before it is longer than as many characters.
func wrapped(text string, width int) string {
	var b strings.Builder
	n := 0
	for i, word := range strings.Split(text, " ") {
		length := len([]rune(word))
		switch {
		case i == 0:
		case n+1+length > width:
			b.WriteByte('\n')
			n = 0
		default:
			b.WriteByte(' ')
			n++
		}
		b.WriteString(word)
		n += length
	}
	return b.String()
}

// table writes the header of a table; rows write themselves with row.
func (m *markdown) table(columns ...string) {
	m.line("| %s |", strings.Join(columns, " | "))
	m.line("|%s", strings.Repeat(" --- |", len(columns)))
}

func (m *markdown) row(cells ...string) { m.line("| %s |", strings.Join(cells, " | ")) }

// more says how many rows of a list are left out.
func (m *markdown) more(n int) {
	if n > maxList {
		m.line("\n%d more are in the report as JSON.", n-maxList)
	}
}

// cite writes refs.
func cite(refs []string) string {
	if len(refs) == 0 {
		return ""
	}
	shown, more := citations(refs)
	text := strings.Join(shown, ", ")
	if more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return " (" + text + ")"
}

// maxCited is how many refs stand behind a sentence.
const maxCited = 4

func citations(refs []string) (shown []string, more int) {
	if len(refs) <= maxCited+1 {
		return refs, 0
	}
	return refs[:maxCited], len(refs) - maxCited
}

func orDash(text string) string { return cmp.Or(text, "–") }

func optional(s *float64) string {
	if s == nil {
		return "–"
	}
	return duration(*s)
}

func (m *markdown) head(r *Report) {
	s := &r.Summary
	m.line("# %s: %s on %s\n", md(outcomeTitle(s.Outcome)), md(cmp.Or(s.Alert, "alert without a name")), md(cmp.Or(s.Target.String(), "an unknown target")))
	if title := stateTitle(&r.Complete); title != "" {
		m.line("> **%s**", title)
		for _, reason := range r.Complete.Reasons[:min(len(r.Complete.Reasons), maxReasons)] {
			m.line(">\n> - %s%s", md(reason.Text), cite(reason.Refs))
		}
		if n := len(r.Complete.Reasons) - maxReasons; n > 0 {
			m.line(">\n> - and %d more", n)
		}
		m.line("")
	}
	m.line("**%s**\n", md(s.OneLine))
	m.table("", "")
	for _, f := range r.keyFigures() {
		m.row(md(f.Name), md(f.Value)+noteOf(f.Note))
	}
	m.row("Remediation", code(r.RemediationID))
	m.row("As of", moment(r.AsOf))
	m.row("Record", md(recordLine(&r.Complete)))
	for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
		m.row(md(k), md(s.Annotations[k]))
	}
	for _, skew := range r.Complete.ClockSkew[:min(len(r.Complete.ClockSkew), maxReasons)] {
		m.row("Clocks disagree", fmt.Sprintf("%s By %s.%s", md(skew.Text), duration(skew.Seconds), cite(skew.Refs)))
	}
}

func noteOf(note string) string {
	if note == "" {
		return ""
	}
	return " (" + md(note) + ")"
}

func (m *markdown) story(r *Report) {
	if r.Narrative.Status == NarrativeNone || len(r.Narrative.Claims) == 0 {
		return
	}
	m.section("What happened")
	m.line("%s\n", md(narrativeOrigin(&r.Narrative)))
	for _, c := range r.Narrative.Claims[:min(len(r.Narrative.Claims), maxList)] {
		kind := ""
		if c.Kind == claimInference {
			kind = "*Inference:* "
		}
		m.line("- %s%s%s", kind, md(c.Text), cite(c.Refs))
	}
}

func (m *markdown) time(r *Report) {
	m.section("Where the time went")
	if n := r.Bottleneck; n != nil {
		m.table("Phase", "Time", "Share", "Rows")
		for _, p := range n.Breakdown {
			name := md(p.Name)
			if p.Phase == n.Phase {
				name = "**" + name + "**"
			}
			m.row(name, duration(p.Seconds), md(percent(p.Share)), strings.TrimSpace(cite(p.Refs)))
		}
		if n.Baseline != nil && n.ExcessSeconds != nil {
			m.line("\nThe mean of %d comparable remediations is %s: this one took %s.", n.Baseline.N, optional(n.Baseline.Mean), moreOrLess(*n.ExcessSeconds))
		}
		return
	}
	if len(r.Timeline.Spans) == 0 {
		m.line("No row tells when it began.")
		return
	}
	m.table("Phase", "Began", "Time")
	for _, s := range r.Timeline.Spans[:min(len(r.Timeline.Spans), maxList)] {
		length := "open"
		if s.Seconds != nil {
			length = duration(*s.Seconds)
		}
		m.row(md(s.Name), moment(s.Start), length)
	}
}

func (m *markdown) ai(r *Report) {
	a := r.AI
	if a == nil {
		return
	}
	m.section("The AI's recommendation")
	m.line("**Verdict: %s.** %s%s", verdictWords[a.Verdict], md(a.VerdictReason), cite(a.VerdictRefs))
	if a.RootCause != "" {
		m.line("\nRoot cause%s:", confidence(a.RootCauseConfidence))
		m.prose(a.RootCause)
	}
	switch {
	case a.Action != "":
		m.line("Recommended: %s%s", code(a.Action), confidence(a.ActionConfidence))
		for _, k := range slices.Sorted(maps.Keys(a.Parameters)) {
			m.line("\n- %s = %s", code(k), code(a.Parameters[k]))
		}
		m.prose(a.Rationale)
	case a.NoActionReason != "":
		m.line("\nNothing is recommended:")
		m.prose(a.NoActionReason)
	}
	if a.FailureReason != "" {
		m.line("\nThe analysis failed:")
		m.prose(a.FailureReason)
	}
	if a.Calibration != nil {
		m.line("\nWhat the confidence is worth: %s%s", md(a.Calibration.Text), cite(a.Calibration.Refs))
	}
	if len(a.Alternatives) > 0 {
		m.line("\n### Why not another action\n")
		m.table("Action", "Confidence", "Why not", "With hindsight")
		for _, alt := range a.Alternatives[:min(len(a.Alternatives), maxList)] {
			m.row(md(alt.Action), number(alt.Confidence)+" %", md(alt.RejectedReason), md(alt.Hindsight.Text))
		}
	}
	if len(a.Evidence) > 0 {
		m.line("\n### What it looked at\n")
		for _, e := range a.Evidence[:min(len(a.Evidence), maxList)] {
			m.line("- %s: %s", code(e.Tool), md(cmp.Or(e.Purpose, "–")))
			if e.Excerpt != "" {
				m.line("  %s", code(e.Excerpt))
			}
		}
	}
}

func confidence(c *float64) string {
	if c == nil {
		return ""
	}
	return ", confidence " + number(*c) + " %"
}

func (m *markdown) approval(r *Report) {
	p := r.Approval
	if p == nil {
		return
	}
	m.section("Approval")
	m.table("", "")
	for _, f := range p.fields() {
		m.row(md(f.Name), md(f.Value))
	}
	m.row("Rows", strings.TrimSpace(cite(p.Refs)))
}

func (m *markdown) execution(r *Report) {
	e := r.Execution
	if e == nil {
		return
	}
	m.section("Execution")
	m.line("%s%s\n", md(e.line()), cite(e.Refs))
	if len(e.Steps) > 0 {
		m.table("Step", "Action", "Result", "Time", "Attempts", "Message")
		for _, s := range e.Steps[:min(len(e.Steps), maxList)] {
			m.row(fmt.Sprintf("%d. %s", s.Step, md(s.Name)), md(s.Action), md(s.Status), duration(float64(s.Duration)), fmt.Sprint(s.Attempts), orDash(md(s.Message)))
		}
		m.more(len(e.Steps))
	}
	if len(e.Validations) > 0 {
		m.line("")
		m.table("Condition", "Stage", "Passed", "Message")
		for _, v := range e.Validations[:min(len(e.Validations), maxList)] {
			m.row(md(v.Name), md(v.Stage), yesNo(v.Passed), orDash(md(v.Message)))
		}
		m.more(len(e.Validations))
	}
	if e.FailureReason != "" {
		m.line("\nWhy it failed:")
		m.prose(e.FailureReason)
	}
	for _, a := range e.Adjustments[:min(len(e.Adjustments), maxList)] {
		m.line("\n- Adjusted: %s – %s", md(a.Adjustment), md(a.Reason))
	}
}

func (m *markdown) effect(r *Report) {
	if e := r.Effectiveness; e != nil {
		m.section("Did it hold?")
		m.table("Without a return for", "")
		for _, w := range heldWindows {
			if held := e.Held[w.name]; held != "" {
				m.row(windowWords[w.name], heldText(held))
			}
		}
		if e.Score != nil {
			m.row("Effectiveness", number(*e.Score)+" of 100")
		}
		m.line("\nRows:%s", cite(e.Refs))
		for _, back := range e.Recurrences[:min(len(e.Recurrences), maxList)] {
			m.line("\n- Came back after %s as %s%s", duration(back.AfterSeconds), code(back.RemediationID), cite(back.Refs))
		}
	}
	if len(r.Notifications) > 0 {
		m.section("Notifications")
		m.table("Channel", "What for", "Result", "Attempts", "Delivered after", "Rows")
		for _, n := range r.Notifications[:min(len(r.Notifications), maxList)] {
			m.row(md(n.Channel), md(orDash(n.Purpose)), md(n.Status), fmt.Sprint(len(n.Attempts)), optional(n.Seconds), strings.TrimSpace(cite(n.Refs)))
		}
		m.more(len(r.Notifications))
	}
}

func (m *markdown) history(r *Report) {
	h := r.History
	if h == nil {
		return
	}
	m.section("How comparable ones went")
	m.line("%s\n\n%s%s\n", md(h.Definition), md(h.Text), cite(h.Refs))
	if h.N == 0 {
		return
	}
	m.table("n", "Successful", "Mean", "p50", "p90", "As fast as this one, or faster")
	standing := "–"
	if h.Percentile != nil {
		standing = percent(*h.Percentile)
	}
	m.row(fmt.Sprint(h.N), fmt.Sprint(h.Success), optional(h.Mean), optional(h.P50), optional(h.P90), standing)
}

func (m *markdown) recommendations(r *Report) {
	m.section("Recommendations")
	if len(r.Recommendations) == 0 {
		m.line("None: no rule finds anything that would have helped.")
	}
	for _, c := range r.Recommendations {
		saves := ""
		if c.SavingSeconds != nil {
			saves = " Saves up to " + duration(*c.SavingSeconds) + "."
		}
		m.line("%d. **%s**%s\n   %s%s", c.Priority, md(c.Text), saves, md(c.Basis), cite(c.Refs))
	}
}

func (m *markdown) compliance(r *Report) {
	m.section("Evidence for compliance")
	m.line("What the rows are evidence for. Whether that complies with a rule is for an auditor to say.\n")
	m.table("Question", "What the record shows", "Rows")
	for _, q := range r.Compliance {
		m.row(md(q.Question), md(q.Answer), strings.TrimSpace(cite(q.Evidence)))
	}
}

func (m *markdown) timeline(r *Report) {
	m.section("Timeline")
	if len(r.Timeline.Events) == 0 {
		m.line("There is no event.")
		return
	}
	m.table("At (UTC)", "After", "Who", "What", "Rows")
	for _, e := range r.Timeline.Events[:min(len(r.Timeline.Events), maxList)] {
		m.row(moment(e.At), duration(float64(e.OffsetMS)/1000), md(e.Actor), md(e.Text), strings.TrimSpace(cite(e.Refs)))
	}
	m.more(len(r.Timeline.Events))
}

func (m *markdown) evidence(r *Report) {
	m.section("Evidence")
	if len(r.Evidence) > 0 {
		m.table("Ref", "Table", "Resource or query", "Entry", "SHA-256 of the entry")
		for _, e := range r.Evidence[:min(len(r.Evidence), maxList)] {
			m.row(md(e.Ref), md(e.Table), code(cmp.Or(e.Query, e.SourceUID, e.ID)), md(e.what()), code(e.EntryHash))
		}
		m.more(len(r.Evidence))
	}
	if len(r.OtherRows) > 0 {
		m.line("\n### Other rows under this id\n\nNothing above rests on them.\n")
		m.table("Table", "Resource or caller", "Rows", "Why not")
		for _, o := range r.OtherRows[:min(len(r.OtherRows), maxList)] {
			m.row(md(o.Table), md(o.who()), o.count(), md(o.Why))
		}
		m.more(len(r.OtherRows))
	}
}
