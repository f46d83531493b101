package rar

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	. "github.com/onsi/gomega"
)

// The times to relapse, in weeks, of the patients who were given 6-mercaptopurine (E. J. Freireich et al., Blood 21, 1963, 699–716), with the estimates and standard errors that textbooks give for
// them (D. G. Kleinbaum, M. Klein, "Survival Analysis", 3rd ed., 2012, section 2.III), and the interval of log(−log) at 23 weeks of R's survfit.
func TestKaplanMeierOfAPublishedExample(t *testing.T) {
	g := NewWithT(t)
	var all []watched
	for _, week := range []int64{6, 6, 6, 7, 10, 13, 16, 22, 23} {
		all = append(all, watched{week, 1, 0})
	}
	for _, week := range []int64{6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35} {
		all = append(all, watched{week, 0, 1})
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	steps := kaplanMeier(all)
	for week, want := range map[int64][2]float64{5: {1, 0}, 6: {0.857, 0.0764}, 7: {0.807, 0.0869}, 10: {0.753, 0.0963}, 13: {0.690, 0.1068}, 16: {0.627, 0.1141}, 22: {0.538, 0.1282}, 23: {0.448, 0.1346}, 35: {0.448, 0.1346}} {
		s, known := survivalAt(steps, week)
		g.Expect(known).To(BeTrue())
		g.Expect(s.held).To(BeNumerically("~", want[0], 5e-4), "week %d", week)
		g.Expect(s.held*math.Sqrt(s.variance)).To(BeNumerically("~", want[1], 5e-5), "week %d", week)
	}
	at, _ := survivalAt(steps, 23)
	g.Expect(at.interval()[0]).To(BeNumerically("~", 1-0.680, 1e-3))
	g.Expect(at.interval()[1]).To(BeNumerically("~", 1-0.188, 1e-3))
	g.Expect(at.returned).To(BeEquivalentTo(9))
	_, known := survivalAt(steps, 36)
	g.Expect(known).To(BeFalse(), "nobody was watched that long")
}

// At the end of each window the curve says what the window says, and nowhere is it more than half a percent beside the estimate.
func TestTheCurveIsTheEstimate(t *testing.T) {
	g := NewWithT(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 19, 300, 5000} {
		in := &TrendsInput{}
		var all []watched
		for range n {
			minutes := min(int64(random.ExpFloat64()*4000), 10080)
			back := minutes < 10080 && random.IntN(3) > 0
			in.Held = append(in.Held, TrendHeldRow{Minutes: minutes, Returned: back, N: 1})
			all = append(all, map[bool]watched{true: {minutes, 1, 0}, false: {minutes, 0, 1}}[back])
		}
		r := BuildTrends(in).Recurrence
		curve := func(seconds int64) float64 {
			i, _ := slices.BinarySearchFunc(r.Curve, seconds+1, func(s RecurrenceStep, at int64) int { return cmp.Compare(s.After, at) })
			return r.Curve[i-1].Held
		}
		for _, w := range r.Windows {
			if w.Rate != nil {
				g.Expect(curve(w.Seconds)).To(BeNumerically("~", 1-*w.Rate, 1.1e-4), "%d: %s", n, w.Window)
			}
		}
		for _, s := range kaplanMeier(all) {
			g.Expect(curve(s.time*60)).To(BeNumerically("~", s.held, 0.0051), "%d", n)
		}
		g.Expect(len(r.Curve)).To(BeNumerically("<=", 1+200+3))
	}
}

// Without censoring the estimate is the share itself.
func TestKaplanMeierWithoutCensoringIsTheShare(t *testing.T) {
	g := NewWithT(t)
	steps := kaplanMeier([]watched{{60, 3, 0}, {600, 2, 0}, {10080, 0, 15}})
	for minutes, held := range map[int64]float64{59: 1, 60: 0.85, 1440: 0.75, 10080: 0.75} {
		s, known := survivalAt(steps, minutes)
		g.Expect(known).To(BeTrue())
		g.Expect(s.held).To(BeNumerically("~", held, 1e-9))
	}
	s, known := survivalAt(kaplanMeier([]watched{{10080, 0, 10}}), 10080)
	g.Expect(known).To(BeTrue())
	g.Expect(s.interval()).To(HaveValue(Equal([2]float64{0, 0.2775})), "nothing came back")
	_, known = survivalAt(kaplanMeier(nil), 60)
	g.Expect(known).To(BeFalse())
	_, known = survivalAt(kaplanMeier([]watched{{30, 0, 10}}), 60)
	g.Expect(known).To(BeFalse(), "all windows are open")
}

func spreadOf(values ...float64) spread {
	counts := map[float64]int64{}
	for _, v := range values {
		counts[v]++
	}
	return newSpread(counts)
}

// The survival times of the mice (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", 1993, table 2.1): the bootstrap's standard error of the median of the treated ones is 37.83 (table 2.2).
var (
	treated = []float64{94, 197, 16, 38, 99, 141, 23}
	control = []float64{52, 104, 146, 10, 51, 30, 40, 27, 46}
)

func TestTheBootstrapOfAPublishedExample(t *testing.T) {
	g := NewWithT(t)
	s := spreadOf(treated...)
	random := rand.NewPCG(1, 2)
	const samples = 200_000
	var sum, squares float64
	for range samples {
		m := s.resample(0.5, random)
		sum, squares = sum+m, squares+m*m
	}
	mean := sum / samples
	g.Expect(math.Sqrt(squares/samples - mean*mean)).To(BeNumerically("~", 37.83, 0.3))
}

// Drawing order statistics gives what drawing each value gives, between two values, too.
func TestTheBootstrapIsThatOfWholeSamples(t *testing.T) {
	for _, q := range []float64{0.5, 0.9} {
		g := NewWithT(t)
		random := rand.New(rand.NewPCG(3, 4))
		whole := func(of []float64) float64 {
			sample := make([]float64, len(of))
			for i := range sample {
				sample[i] = of[random.IntN(len(of))]
			}
			slices.Sort(sample)
			return quantile(sample, q)
		}
		const samples = 100_000
		var one, other []float64
		now, before, source := spreadOf(treated...), spreadOf(control...), rand.NewPCG(5, 6)
		for range samples {
			one = append(one, whole(treated)-whole(control))
			other = append(other, now.resample(q, source)-before.resample(q, source))
		}
		// The greatest distance of the two distributions; below it the hypothesis that they are one is kept at 0.1 % (Kolmogorov and Smirnov: 1.95·√(2/n)).
		slices.Sort(one)
		slices.Sort(other)
		distance := 0.0
		for i := range one {
			below, _ := slices.BinarySearch(other, one[i])
			first, _ := slices.BinarySearch(one, one[i])
			distance = max(distance, math.Abs(float64(below-first))/samples)
		}
		g.Expect(distance).To(BeNumerically("<", 1.95*math.Sqrt(2.0/samples)), "of %v", q)
	}
}

func TestAnIntervalIsTheSameEachTime(t *testing.T) {
	g := NewWithT(t)
	now, before := spreadOf(treated...), spreadOf(control...)
	first := changeInterval(&now, &before, 0.5)
	g.Expect(changeInterval(&now, &before, 0.5)).To(Equal(first))
	g.Expect(first[0]).To(BeNumerically("<", first[1]))
	one := spreadOf(5)
	g.Expect(changeInterval(&one, &one, 0.9)).To(Equal([2]float64{0, 0}))
	large := newSpread(map[float64]int64{60: 1e9, 600: 1})
	g.Expect(changeInterval(&large, &large, 0.5)).To(Equal([2]float64{0, 0}))
}

// The score and its parts are those of the definition, decision by decision, and they add up.
func TestBrierIsThatOfTheDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 50 {
		g := NewWithT(t)
		bins := make([]binned, 10)
		n := 1 + random.IntN(400)
		confidences, labels := make([]float64, n), make([]float64, n)
		for i := range n {
			confidences[i] = random.Float64()
			if random.Float64() < confidences[i]*confidences[i] {
				labels[i] = 1
			}
			b := &bins[min(int(confidences[i]*10), 9)]
			off := confidences[i] - labels[i]
			b.n, b.success, b.confidence, b.squares = b.n+1, b.success+int64(labels[i]), b.confidence+confidences[i], b.squares+off*off
		}
		var score, base float64
		means, rights, counts := make([]float64, 10), make([]float64, 10), make([]float64, 10)
		for i := range n {
			score += (confidences[i] - labels[i]) * (confidences[i] - labels[i]) / float64(n)
			base += labels[i] / float64(n)
			k := min(int(confidences[i]*10), 9)
			counts[k]++
			means[k] += (confidences[i] - means[k]) / counts[k]
			rights[k] += (labels[i] - rights[k]) / counts[k]
		}
		var reliability, resolution float64
		for i := range n {
			k := min(int(confidences[i]*10), 9)
			reliability += (means[k] - rights[k]) * (means[k] - rights[k]) / float64(n)
			resolution += (rights[k] - base) * (rights[k] - base) / float64(n)
		}
		got := brier(bins)
		g.Expect(got.Score).To(BeNumerically("~", score, 1e-4))
		g.Expect(got.Reliability).To(BeNumerically("~", reliability, 1e-4))
		g.Expect(got.Resolution).To(BeNumerically("~", resolution, 1e-4))
		g.Expect(got.Uncertainty).To(BeNumerically("~", base*(1-base), 1e-4))
		g.Expect(got.Score).To(BeNumerically("~", got.Reliability-got.Resolution+got.Uncertainty+got.WithinBins, 3e-4))
		if base > 0 && base < 1 {
			g.Expect(got.Skill).To(HaveValue(BeNumerically("~", 1-score/(base*(1-base)), 1e-3)))
		}
	}
	g := NewWithT(t)
	g.Expect(brier(make([]binned, 10))).To(BeNil())
	perfect := brier([]binned{{n: 5, confidence: 0}, {n: 5, success: 5, confidence: 5}})
	g.Expect(*perfect).To(Equal(Brier{Score: 0, Reliability: 0, Resolution: 0.25, Uncertainty: 0.25, Skill: perfect.Skill}))
	g.Expect(perfect.Skill).To(HaveValue(Equal(1.0)))
	g.Expect(brier([]binned{{n: 5, success: 5, confidence: 4, squares: 0.2}}).Skill).To(BeNil(), "all were right: there is nothing to gain")
}
