package rar

import (
	"testing"

	. "github.com/onsi/gomega"
)

// The values are those of R's binom::binom.confint(method = "wilson"), to four decimals.
func TestWilson(t *testing.T) {
	g := NewWithT(t)
	for _, c := range []struct {
		success, n int64
		want       [2]float64
	}{{0, 10, [2]float64{0, 0.2775}}, {10, 10, [2]float64{0.7225, 1}}, {5, 10, [2]float64{0.2366, 0.7634}}, {1, 1, [2]float64{0.2065, 1}}} {
		g.Expect(wilson(c.success, c.n)).To(HaveValue(Equal(c.want)))
	}
	g.Expect(wilson(0, 0)).To(BeNil())
	g.Expect(wilson(3, 2)).To(BeNil())
}

func TestQuantile(t *testing.T) {
	g := NewWithT(t)
	g.Expect(quantile([]float64{1, 2, 3, 4}, 0.9)).To(BeNumerically("~", 3.7, 1e-9))
	g.Expect(quantile([]float64{7}, 0.9)).To(Equal(7.0))
}

func TestDurationsAreWrittenAsPeopleSayThem(t *testing.T) {
	for seconds, want := range map[float64]string{0: "0s", 0.0004: "1ms", 0.25: "250ms", 2.2: "2.2s", 5: "5s", 36.5: "36s", 165: "2m45s", 300: "5m",
		3600: "1h", 3621: "1h", 5400: "1h30m", 90061: "1d1h", 86400: "1d", -90: "-1m30s", 1e300: "over 30000 years"} {
		NewWithT(t).Expect(duration(seconds)).To(Equal(want))
	}
}

func TestPercentagesAreCut(t *testing.T) {
	for share, want := range map[float64]string{0: "0 %", 0.001: "<1 %", 0.29: "29 %", 0.4852: "48 %", 0.9999: "99 %", 1: "100 %"} {
		NewWithT(t).Expect(percent(share)).To(Equal(want))
	}
}

// What is written of an interval is never narrower than the interval.
func TestIntervalsAreWrittenOutwards(t *testing.T) {
	g := NewWithT(t)
	for want, i := range map[string][2]float64{"85 % to 93 %": {0.8599, 0.9201}, "0 % to 14 %": {0, 0.1399}, "<1 % to 1 %": {0.0001, 0.0071}, "20 % to 100 %": {0.2065, 1}, "29 % to 58 %": {0.29, 0.58}, "0 % to 0 %": {0, 0}} {
		g.Expect(interval(i)).To(Equal(want))
	}
}

func TestCleanTextsChangeNothingAroundThem(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "two\nlines\t": "two\nlines\t", "\x1b[31m": "␛[31m", "\x00\x7f": "␀␡", "a\u202eb": "a[U+202E]b", "\u0085": "[U+0085]", "\xff": "\ufffd",
		"👩\u200d👧": "👩\u200d👧", "\u2028": "[U+2028]", "\u200b": "[U+200B]",
	} {
		NewWithT(t).Expect(Clean(text)).To(Equal(want))
	}
}
