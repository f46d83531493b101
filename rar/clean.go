package rar

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what Markdown, HTML and SVG show. JSON has everything.
const (
	maxInline = 300  // characters of a name, or of a text in a table
	maxBrief  = 80   // characters of a text in a list
	maxProse  = 4000 // characters of a text that has a place of its own
	maxList   = 200  // rows of a table
)

// Clean returns a text that changes neither the order of what stands around it nor a terminal: control characters become their pictures (␛), marks that change the direction or are
// invisible are written out (U+202E), bytes that are not UTF-8 become U+FFFD. Newlines and tabs stay.
func Clean(text string) string {
	if !slices.ContainsFunc([]rune(text), unsafe) && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !unsafe(r):
			b.WriteRune(r)
		case r < 0x20:
			b.WriteRune('\u2400' + r)
		case r == 0x7f:
			b.WriteRune('\u2421')
		default:
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}

// unsafe reports whether a character is a control, or a format character other than the joiners that scripts and emoji need.
func unsafe(r rune) bool {
	switch r {
	case '\n', '\t', '\u200c', '\u200d':
		return false
	case '\u2028', '\u2029', '\u3164', '\u115f', '\u1160', '\uffa0':
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf)
}

// Line is Clean on one line of at most as many characters.
func line(text string, limit int) string {
	return cut(strings.Join(strings.Fields(Clean(head(text, 4*limit))), " "), limit)
}

// prose is Clean with its lines, bounded; note says how much was left out.
func prose(text string) (shown, note string) {
	cleaned := strings.ReplaceAll(Clean(head(text, 4*maxProse)), "\t", "    ")
	shown = cut(cleaned, maxProse)
	if shown != cleaned || len(text) > 4*maxProse {
		note = fmt.Sprintf("The text has %d bytes and is cut here; the report as JSON has all of it.", len(text))
	}
	return shown, note
}

// head keeps the first bytes of a text, so that megabytes are not looked at for a line.
func head(text string, bytes int) string {
	if len(text) <= bytes {
		return text
	}
	return strings.ToValidUTF8(text[:bytes], "") + "…"
}

// cut keeps the first characters of a text.
func cut(text string, limit int) string {
	n := 0
	for i := range text {
		if n == limit {
			return text[:i] + "…"
		}
		n++
	}
	return text
}

// maxShown is how many characters of a value that other people wrote a sentence shows. The report has all of it elsewhere.
const maxShown = 300

// Shown is the value in a sentence. What other people wrote is on one line of at most 300 characters, and in quotation marks that it cannot close, unless it is one word.
func (f *Fact) Shown() string {
	switch f.Unit {
	case "text":
		return quotedText(f.Value)
	case "name":
		return shownName(f.Value)
	}
	return f.Value
}

// shownName is a name in a sentence, which anybody may have chosen.
func shownName(name string) string {
	name = line(name, maxShown)
	if strings.ContainsFunc(name, notInNames) || strings.Contains(name, "//") {
		return quoted(name)
	}
	return name
}

// quotedText is a text of somebody in a sentence.
func quotedText(text string) string { return quoted(strings.TrimRight(line(text, maxShown), ".!? ")) }

func quoted(text string) string {
	return "“" + strings.NewReplacer("“", "'", "”", "'", `"`, "'", "„", "'", "‟", "'", "«", "'", "»", "'").Replace(text) + "”"
}

// notInNames reports whether a character is in no name that Kubernetes, Prometheus or an identity provider gives.
func notInNames(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./@:", r)
}
