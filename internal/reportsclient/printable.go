package reportsclient

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Printable is a text with everything that a terminal could take for a command replaced by U+FFFD: controls, escapes, marks of writing direction. Newlines and tabs stay.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

func printable(r rune) bool { return unicode.IsPrint(r) || r == '\n' || r == '\t' }

// PrintableJSON is JSON text with the same escaped: it is the same value.
func PrintableJSON(text []byte) []byte {
	var out bytes.Buffer
	for _, r := range string(text) { // such a rune stands within a string of valid JSON
		switch {
		case printable(r):
			out.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&out, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&out, `\u%04x`, r)
		}
	}
	return out.Bytes()
}
