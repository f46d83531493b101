package command

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

func TestSpans(t *testing.T) {
	for text, want := range map[string]time.Duration{"30d": 720 * time.Hour, "2w": 336 * time.Hour, "12h": 12 * time.Hour, "1h30m": 90 * time.Minute, "0d": 0} {
		var s Span
		NewWithT(t).Expect(s.Set(text)).To(Succeed())
		NewWithT(t).Expect(time.Duration(s)).To(Equal(want))
	}
	for _, text := range []string{"", "d", "1.5d", "-3d", "99999999d", "30", "1dd", "30 d"} {
		var s Span
		NewWithT(t).Expect(s.Set(text)).To(MatchError(ContainSubstring("as in 30d")), text)
	}
}
