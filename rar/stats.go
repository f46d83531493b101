package rar

import (
	"math"

	"k8s.io/utils/ptr"
)

// z is the 97.5 % quantile of the normal distribution: intervals are of 95 %.
const z = 1.959963984540054

// wilson is the score interval of a share of successes at 95 % (E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", JASA 22, 1927, 209–212):
//
//	(p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n)
//
// It is nil for n = 0.
func wilson(success, n int64) *[2]float64 {
	if n <= 0 || success < 0 || success > n {
		return nil
	}
	m := float64(n)
	p := float64(success) / m
	middle := p + z*z/(2*m)
	half := z * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	scale := 1 + z*z/m
	return &[2]float64{rounded(max(0, (middle-half)/scale), 4), rounded(min(1, (middle+half)/scale), 4)}
}

// rate is a share of successes, cut to four decimals; nil for n = 0.
func rate(success, n int64) *float64 {
	if n <= 0 {
		return nil
	}
	return ptr.To(share(success, n))
}

// share is part/whole, cut to four decimals, so that shares never add up to more than the whole. It is 0 if there is no whole.
func share(part, whole int64) float64 {
	if whole <= 0 {
		return 0
	}
	return math.Floor(float64(part)/float64(whole)*1e4+1e-9) / 1e4
}

func rounded(x float64, decimals int) float64 {
	scale := math.Pow10(decimals)
	return math.Round(x*scale) / scale
}

// quantile is the q-quantile of sorted values, between the two nearest by linear interpolation, as PostgreSQL's percentile_cont (R's type 7). The values are not empty.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	below := int(math.Floor(at))
	above := int(math.Ceil(at))
	return sorted[below] + (sorted[above]-sorted[below])*(at-float64(below))
}
