package rar

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// spread is a sample as values with counts: sorted, upTo[i] counts the values up to values[i].
type spread struct {
	values []float64
	upTo   []int64
}

func newSpread(values map[float64]int64) spread {
	var s spread
	n := int64(0)
	for v, count := range values {
		if count > 0 && !math.IsNaN(v) && !math.IsInf(v, 0) {
			s.values = append(s.values, v)
		}
	}
	slices.Sort(s.values)
	for _, v := range s.values {
		n += values[v]
		s.upTo = append(s.upTo, n)
	}
	return s
}

func (s *spread) n() int64 {
	if len(s.upTo) == 0 {
		return 0
	}
	return s.upTo[len(s.upTo)-1]
}

// at is the inverse of the empirical distribution: the value at a share of the sample.
func (s *spread) at(share float64) float64 {
	rank := min(int64(share*float64(s.n())), s.n()-1) // from 0 on
	i, _ := slices.BinarySearch(s.upTo, rank+1)
	return s.values[i]
}

// resample draws the q-quantile of a bootstrap sample: as many values as there are, drawn with replacement. The order statistic k of n uniform numbers has a Beta distribution with k and
// n+1−k (H. A. David, H. N. Nagaraja, "Order Statistics", 3rd ed., 2003, section 2.3), so one draw stands for n, with the same result. The next order statistic is the least of the numbers above it.
func (s *spread) resample(q float64, random rand.Source) float64 {
	n := s.n()
	if n == 1 {
		return s.values[0]
	}
	place := q * float64(n-1)
	k := math.Floor(place)
	u := distuv.Beta{Alpha: k + 1, Beta: float64(n) - k, Src: random}.Rand()
	low := s.at(u)
	if place == k {
		return low
	}
	above := 1 - math.Pow(1-rand.New(random).Float64(), 1/(float64(n)-k-1))
	return low + (s.at(u+(1-u)*above)-low)*(place-k)
}

// resamples is how many bootstrap samples an interval rests on.
const resamples = 2000

// changeInterval is the bootstrap's percentile interval, 95 %, of the difference of the q-quantiles of two samples, now minus before (B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap",
// 1993, chapter 13). The seed follows from the samples: the same rows give the same interval.
func changeInterval(now, before *spread, q float64) [2]float64 {
	random := rand.NewPCG(seed(now, before, q))
	all := make([]float64, resamples)
	for i := range all {
		all[i] = now.resample(q, random) - before.resample(q, random)
	}
	slices.Sort(all)
	return [2]float64{rounded(quantile(all, 0.025), 3), rounded(quantile(all, 0.975), 3)}
}

func seed(now, before *spread, q float64) (uint64, uint64) {
	sum := sha256.New()
	write := func(bits uint64) { _ = binary.Write(sum, binary.BigEndian, bits) } // a hash takes everything
	write(math.Float64bits(q))
	for _, s := range []*spread{now, before} {
		write(uint64(len(s.values)))
		for i := range s.values {
			write(math.Float64bits(s.values[i]))
			write(uint64(s.upTo[i]))
		}
	}
	bytes := sum.Sum(nil)
	return binary.BigEndian.Uint64(bytes), binary.BigEndian.Uint64(bytes[8:])
}

// watched is how many were watched until a time, and then either returned or were watched no longer.
type watched struct {
	time                int64
	returned, withdrawn int64
}

// survival is Kaplan and Meier's estimate just after a time: the share that has not returned (E. L. Kaplan, P. Meier, "Nonparametric Estimation from Incomplete Observations", JASA 53, 1958,
// 457–481). Variance is Greenwood's sum Σ d/(n(n−d)).
type survival struct {
	time               int64
	held, variance     float64
	returned, atRisk   int64
	withdrawn          int64 // before the time
	withdrawnAtTheTime int64
}

// kaplanMeier gives a step for each time. Where one returned and another was withdrawn at one time, the other was still watched then.
func kaplanMeier(all []watched) []survival {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b watched) int { return cmp.Compare(a.time, b.time) })
	var n int64
	for _, w := range all {
		n += w.returned + w.withdrawn
	}
	at := survival{held: 1, atRisk: n}
	steps := []survival{at}
	for i := 0; i < len(all); {
		var d, c int64
		now := all[i].time
		for ; i < len(all) && all[i].time == now; i++ {
			d, c = d+all[i].returned, c+all[i].withdrawn
		}
		if d > 0 {
			at.held *= 1 - float64(d)/float64(at.atRisk)
			if at.atRisk > d {
				at.variance += float64(d) / (float64(at.atRisk) * float64(at.atRisk-d))
			}
		}
		at.time, at.returned, at.withdrawn, at.withdrawnAtTheTime = now, at.returned+d, at.withdrawn+at.withdrawnAtTheTime, c
		at.atRisk -= d
		steps = append(steps, at)
		at.atRisk -= c
	}
	return steps
}

// survivalAt is the estimate at a time; false if nothing was watched that long.
func survivalAt(steps []survival, time int64) (survival, bool) {
	last := steps[0]
	for _, s := range steps {
		if s.time > time {
			break
		}
		last = s
	}
	if last.time < time { // what was withdrawn at that step is watched no longer
		last.atRisk -= last.withdrawnAtTheTime
		last.withdrawn += last.withdrawnAtTheTime
	}
	return last, last.atRisk > 0 || last.returned > 0 && last.held == 0
}

// interval is that of the share that has returned, from the variance of log(−log) (J. D. Kalbfleisch, R. L. Prentice, "The Statistical Analysis of Failure Time Data", 2nd ed., 2002,
// section 1.4). Where nothing has returned there is no variance: it is Wilson's of none of those still watched.
func (s *survival) interval() *[2]float64 {
	switch {
	case s.returned == 0:
		return wilson(0, s.atRisk)
	case s.held == 0:
		return nil
	}
	width := z * math.Sqrt(s.variance) / math.Abs(math.Log(s.held))
	return &[2]float64{rounded(1-math.Pow(s.held, math.Exp(-width)), 4), rounded(1-math.Pow(s.held, math.Exp(width)), 4)}
}

// binned is what one bin of confidences has: how many, how many were right, the sum of the confidences (0 to 1), and that of their squared differences from the label.
type binned struct {
	n, success          int64
	confidence, squares float64
}

// brier is the score with Murphy's parts (A. H. Murphy, "A New Vector Partition of the Probability Score", J. Appl. Meteor. 12, 1973, 595–600). They add up exactly if the confidences of a bin
// are one; what they leave out otherwise is WithinBins (D. B. Stephenson, C. A. S. Coelho, I. T. Jolliffe, "Two Extra Components in the Brier Score Decomposition", Wea. Forecasting 23, 2008, 752–757).
func brier(bins []binned) *Brier {
	var n, success int64
	var squares float64
	for _, b := range bins {
		n, success, squares = n+b.n, success+b.success, squares+b.squares
	}
	if n == 0 {
		return nil
	}
	total := float64(n)
	base := float64(success) / total
	var reliability, resolution float64
	for _, b := range bins {
		if b.n == 0 {
			continue
		}
		m := float64(b.n)
		right := float64(b.success) / m
		off, apart := b.confidence/m-right, right-base
		reliability += m * off * off / total
		resolution += m * apart * apart / total
	}
	score, uncertainty := squares/total, base*(1-base)
	s := &Brier{
		Score: rounded(score, 4), Reliability: rounded(reliability, 4), Resolution: rounded(resolution, 4), Uncertainty: rounded(uncertainty, 4),
		WithinBins: rounded(score-reliability+resolution-uncertainty, 4) + 0, // not -0
	}
	if uncertainty > 0 {
		skill := rounded(1-score/uncertainty, 4)
		s.Skill = &skill
	}
	return s
}
