package outbox_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func TestBoundNamesWhatItCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text, limit := rapid.String().Draw(t, "text"), rapid.IntRange(0, 300).Draw(t, "limit")
		got := outbox.Bound(text, limit)
		if len(text) <= limit && got != text {
			t.Fatalf("changed a text that fits: %q", got)
		}
		if len(got) > limit {
			t.Fatalf("%d bytes, limit %d", len(got), limit)
		}
		if len(text) > limit && limit > 120 && !strings.Contains(got, entry.Hash([]byte(text))) {
			t.Fatalf("no digest in %q", got)
		}
		if limit > 120 && !utf8.ValidString(got) {
			t.Fatalf("cut within a rune: %q", got)
		}
	})
}
