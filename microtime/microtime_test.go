package microtime

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

// pattern is the one of the schema: the marker on Time.
func pattern(t *testing.T) string {
	source, err := os.ReadFile("microtime.go")
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	found := regexp.MustCompile("kubebuilder:validation:Pattern=`(.*)`").FindSubmatch(source)
	NewWithT(t).Expect(found).To(HaveLen(2))
	return string(found[1])
}

func TestEveryTimeThatTheSchemaTakesIsReadAndWritten(t *testing.T) {
	schema := pattern(t)
	matcher := regexp.MustCompile(schema)
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		text := rapid.StringMatching(schema).Draw(t, "text")
		parsed, err := Parse(text)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(parsed.IsZero()).To(BeFalse())
		written, err := json.Marshal(parsed)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(written).To(HaveLen(len(Layout) + 2))
		var again Time
		g.Expect(json.Unmarshal(written, &again)).To(Succeed())
		g.Expect(again.Equal(&parsed)).To(BeTrue())
		if year := parsed.Year(); year >= 1000 && year < 3000 { // an offset may lead out of the schema by a day
			g.Expect(matcher.MatchString(parsed.String())).To(BeTrue(), parsed.String())
		}
	})
}

func TestEveryInstantThatIsWrittenFitsTheSchema(t *testing.T) {
	matcher := regexp.MustCompile(pattern(t))
	first, last := time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(), time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()-1
	rapid.Check(t, func(t *rapid.T) {
		text := New(time.UnixMicro(rapid.Int64Range(first, last).Draw(t, "microseconds"))).String()
		if !matcher.MatchString(text) {
			t.Fatalf("%s does not fit", text)
		}
	})
}

func TestParse(t *testing.T) {
	matcher := regexp.MustCompile(pattern(t))
	for text, want := range map[string]string{
		"2026-11-23T04:05:06Z":           "2026-11-23T04:05:06.000000Z",
		"2026-11-23t04:05:06z":           "2026-11-23T04:05:06.000000Z",
		"2026-11-23T04:05:06.123456789Z": "2026-11-23T04:05:06.123456Z",
		"2026-11-23T04:05:06.5+05:30":    "2026-11-22T22:35:06.500000Z",
		"2024-02-29T00:00:00Z":           "2024-02-29T00:00:00.000000Z",
		"2000-02-29T00:00:00Z":           "2000-02-29T00:00:00.000000Z",
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			parsed, err := Parse(text)
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(parsed.String()).To(Equal(want))
			g.Expect(matcher.MatchString(text)).To(BeTrue())
		})
	}
	for _, text := range []string{
		"", "2026-11-23", "2026-11-23T04:05:06", "2026-11-23 04:05:06Z", "2026-02-30T00:00:00Z", "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z",
		"2026-04-31T00:00:00Z", "2026-00-10T00:00:00Z", "2026-13-10T00:00:00Z", "2026-11-23T24:00:00Z", "2026-11-23T04:05:60Z", "2026-11-23T04:05:06+99:99",
		"10000-01-01T00:00:00Z", strings.Repeat("2", 64),
	} {
		t.Run("not "+text, func(t *testing.T) {
			g := NewWithT(t)
			_, err := Parse(text)
			g.Expect(err).To(MatchError(ContainSubstring("expected RFC 3339")))
			g.Expect(matcher.MatchString(text)).To(BeFalse())
		})
	}
}
