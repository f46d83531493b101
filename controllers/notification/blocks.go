package notification

import (
	"regexp"
	"strings"
	"unicode/utf16"
)

// Limits of Slack, in characters (https://docs.slack.dev/reference/block-kit/blocks). It does not say what a character is: here it is a unit of UTF-16, after escaping, which is never less than one
// of its readings.
const (
	maxBlocks  = 50
	maxHeader  = 150
	maxSection = 3000
)

// slackBlock is a header or a section of a message.
type slackBlock struct {
	Type string     `json:"type"`
	Text slackPiece `json:"text"`
}

// slackPiece is a text object: plain_text, in which nothing is markup, or mrkdwn. Verbatim keeps Slack from looking for names and URLs in mrkdwn.
type slackPiece struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`
	Verbatim bool   `json:"verbatim,omitempty"`
}

// command is a line of a body that is shown as code, to be copied: one that kubectl begins, without a character that has a meaning for Slack or could end the code.
var command = regexp.MustCompile(`^kubectl [A-Za-z0-9 ./=_'-]{1,1000}$`)

// blocksOf lays a message out: the subject as the header, then the body in sections, its commands as code. All that somebody may have chosen is plain text. whole is the command that shows the text
// of a message that has more than Slack takes.
func blocksOf(subject, body, whole string) []slackBlock {
	subject = strings.TrimSpace(inert(oneLine(subject, slackBytes)))
	if subject == "" {
		subject = "Notification without a subject"
	}
	l := &layout{}
	header, cut := shortened(subject)
	l.blocks = append(l.blocks, slackBlock{"header", plainText(header)})
	if cut {
		l.add(subject+"\n", false)
	}
	for line := range strings.Lines(body) {
		if text := strings.TrimSuffix(line, "\n"); command.MatchString(text) {
			l.add(line, true)
		} else {
			l.add(inert(line), false)
		}
	}
	l.flush()
	if len(l.blocks) > maxBlocks {
		l.blocks = l.blocks[:maxBlocks-1]
		l.add("The message is longer than Slack takes. For the whole text: "+whole, false)
		l.flush()
	}
	return l.blocks
}

// layout gathers lines into sections.
type layout struct {
	blocks []slackBlock
	// The section that is gathered: its text, escaped, and how many characters that has. code: it is shown as code.
	section strings.Builder
	size    int
	code    bool
}

// fence begins and ends code.
const fence = "```"

// add appends a line to the section, or begins another.
func (l *layout) add(line string, code bool) {
	room := maxSection
	if code {
		room -= 2*len(fence) + 1
	}
	if n := units(entities.Replace(line)); code != l.code || l.size+n > room && n <= room {
		l.flush()
	}
	l.code = code
	for _, r := range line { // a line that is longer than a section
		piece := entities.Replace(string(r))
		if l.size+units(piece) > room {
			l.flush()
		}
		l.section.WriteString(piece)
		l.size += units(piece)
	}
}

// flush ends the section. One that shows nothing is left out: Slack refuses it.
func (l *layout) flush() {
	text := strings.Trim(l.section.String(), "\n")
	l.section.Reset()
	l.size = 0
	switch {
	case strings.TrimSpace(text) == "":
	case l.code:
		l.blocks = append(l.blocks, slackBlock{"section", slackPiece{Type: "mrkdwn", Text: fence + "\n" + text + fence, Verbatim: true}})
	default:
		l.blocks = append(l.blocks, slackBlock{"section", plainText(text)})
	}
}

func plainText(escaped string) slackPiece {
	return slackPiece{Type: "plain_text", Text: escaped, Emoji: new(bool)}
}

// shortened is a subject as a header has room for, escaped, and whether some of it is missing.
func shortened(subject string) (header string, cut bool) {
	if escaped := entities.Replace(subject); units(escaped) <= maxHeader {
		return escaped, false
	}
	var b strings.Builder
	size := 0
	for _, r := range subject {
		piece := entities.Replace(string(r))
		if size += units(piece); size > maxHeader-1 {
			break
		}
		b.WriteString(piece)
	}
	return b.String() + "…", true
}

// units is the length of a text in UTF-16.
func units(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}
