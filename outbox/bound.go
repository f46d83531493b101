package outbox

import (
	"fmt"
	"unicode/utf8"

	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Bound cuts a text that comes from outside (a model's answer, a server's error) to at most max bytes, at a rune's boundary.
// What is cut is named at the end: the length of the original and its SHA-256, so that a copy kept elsewhere can be matched.
// A text that fits is returned as it is.
func Bound(text string, max int) string {
	if len(text) <= max {
		return text
	}
	marker := fmt.Sprintf("… [cut: %d bytes, sha256 %s]", len(text), entry.Hash([]byte(text)))
	keep := max - len(marker)
	if keep <= 0 {
		return marker[:min(max, len(marker))]
	}
	for keep > 0 && !utf8.RuneStart(text[keep]) {
		keep--
	}
	return text[:keep] + marker
}
