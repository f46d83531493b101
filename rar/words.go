package rar

import (
	"fmt"
	"math"
	"strconv"
	"time"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// seconds between two instants, with three decimals; negative if the first is the later one. Package time's durations end after 292 years.
func seconds(from, to time.Time) float64 {
	return rounded(float64(to.UnixMicro()-from.UnixMicro())/1e6, 3)
}

// duration writes seconds as people say them: 2m45s, 340ms, 3d4h.
func duration(seconds float64) string {
	sign := ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	switch {
	case seconds == 0:
		return "0s"
	case seconds < 1:
		return sign + strconv.FormatFloat(math.Max(1, math.Floor(seconds*1000+1e-6)), 'f', 0, 64) + "ms"
	case seconds < 10 && seconds != math.Floor(seconds):
		return sign + strconv.FormatFloat(math.Floor(seconds*10+1e-6)/10, 'f', -1, 64) + "s"
	case seconds > 1e12:
		return sign + "over 30000 years"
	}
	whole := int64(seconds)
	units := []struct {
		length int64
		name   string
	}{{24 * 3600, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}}
	text, parts := "", 0
	for _, u := range units {
		n := whole / u.length
		whole %= u.length
		if n == 0 && parts == 0 {
			continue
		}
		if parts++; n > 0 {
			text += strconv.FormatInt(n, 10) + u.name
		}
		if parts == 2 { // days with hours, hours with minutes, minutes with seconds
			break
		}
	}
	return sign + text
}

// percent writes a share of 0 to 1 in whole percent, cut.
func percent(share float64) string {
	if share > 0 && share < 0.01 {
		return "<1 %"
	}
	return strconv.FormatFloat(math.Floor(share*100+1e-9), 'f', 0, 64) + " %"
}

// interval writes an interval of shares. The lower end is cut as every share is, the upper one is raised to the next percent: what is written is never narrower than the interval.
func interval(i [2]float64) string {
	return percent(i[0]) + " to " + strconv.FormatFloat(max(0, math.Ceil(i[1]*100-1e-9)), 'f', 0, 64) + " %"
}

// number writes a value without needless decimals.
func number(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// clock writes the time of day; moment the day, too.
func clock(t outboxapi.Time) string { return t.UTC().Format("15:04:05") }

func moment(t outboxapi.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" }

// plural writes a count with its noun.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func micros(from, to time.Time) int64 { return to.UnixMicro() - from.UnixMicro() }
