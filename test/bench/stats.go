package main

import (
	"math"
	"slices"
	"time"
)

// sample is what several rounds gave.
type sample []float64

// percentile is the value that p of a hundred do not exceed (nearest rank), NaN for no values.
func (s sample) percentile(p float64) float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// median is the middle, of an even number the mean of the two in the middle.
func (s sample) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// over is s ÷ other, round by round: what slowed the machine in one round slowed both.
func (s sample) over(other sample) sample {
	var ratios sample
	for i := range min(len(s), len(other)) {
		ratios = append(ratios, s[i]/other[i])
	}
	return ratios
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
