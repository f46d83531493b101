package notification

import (
	"fmt"
	"strings"
	"unicode"
)

// nothing is a space without a width. It keeps a chat from reading a name or a URL in what somebody wrote.
const nothing = "\u200b"

// inert returns a text that a chat shows as it is. No word mentions anybody, no URL is a link, and no character that is invisible or changes the direction hides what stands there: it is written out.
// Slack itself needs only the entities for that. The rest is for chats that take the messages of Slack and read them as Markdown.
func inert(text string) string {
	var b strings.Builder
	last := ' '
	for _, r := range strings.ReplaceAll(text, "\r\n", "\n") {
		switch {
		case hidden(r):
			fmt.Fprintf(&b, "[U+%04X]", r)
		case r == '@' && !wordPart(last):
			b.WriteString("@" + nothing)
		default:
			b.WriteRune(r)
		}
		last = r
	}
	return strings.ReplaceAll(b.String(), "://", ":"+nothing+"//")
}

// wordPart reports whether an @ after a character stands within a word, as in an address for mail.
func wordPart(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-+", r)
}

// hidden reports whether a character is a control or a format character, or is shown as nothing. Line breaks and tabs stay, and the joiners that scripts and emoji need.
func hidden(r rune) bool {
	switch r {
	case '\n', '\t', '\u200c', '\u200d':
		return false
	case '\u2028', '\u2029', '\u3164', '\u115f', '\u1160', '\uffa0':
		return true
	}
	return unicode.In(r, unicode.Cc, unicode.Cf)
}
