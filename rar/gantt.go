package rar

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// gantt is the timeline as a chart: what svg.go draws.
type gantt struct {
	rows []ganttRow
	// length is that of the time axis in microseconds, from the first start on.
	length int64
	start  outboxapi.Time
}

// ganttRow is a line of the chart: one label, and bars that do not overlap but where the rows say so.
type ganttRow struct {
	label, note string
	detail      bool // a step or a delivery, within a phase
	bars        []ganttBar
}

// ganttBar runs from an offset to another, in microseconds. An open one runs to the end of the axis.
type ganttBar struct {
	from, to int64
	open     bool
	class    string
	title    string
}

// Bounds of the rows of the chart. The table below it has all.
const (
	maxStepRows     = 12
	maxDeliveryRows = 6
)

// phaseClasses are the styles of the phases.
var phaseClasses = map[string]string{
	phaseNames[phaseIntake]: "intake", phaseNames[phaseAnalysis]: "analysis", phaseNames[phaseApproval]: "approval", phaseNames[phaseWorkflow]: "workflow", phaseNames[phaseNotification]: "notification",
	phaseNames[phaseQueueing]: "queueing",
}

func (r *Report) gantt() *gantt {
	c := &gantt{}
	spans := r.Timeline.Spans
	if len(spans) == 0 {
		return c
	}
	c.start = spans[0].Start
	var end outboxapi.Time
	open := false
	for _, s := range spans {
		if s.Start.Before(c.start.Time) {
			c.start = s.Start
		}
		end, open = latest(end, s.Start, s.End), open || s.End == nil
	}
	if open {
		for _, e := range r.Timeline.Events {
			end = latest(end, e.At, nil)
		}
	}
	c.length = max(1, micros(c.start.Time, end.Time))
	if open {
		c.length += max(c.length/8, int64(time.Second/time.Microsecond)) // room for what has no end yet
	}
	c.fill(spans)
	return c
}

func latest(end, start outboxapi.Time, other *outboxapi.Time) outboxapi.Time {
	if start.After(end.Time) {
		end = start
	}
	if other != nil && other.After(end.Time) {
		end = *other
	}
	return end
}

// fill makes a row for each phase, and below it for each of its steps or channels, in the order in which they first come. Hand-overs come last: they are what is left.
func (c *gantt) fill(spans []Span) {
	var phases []ganttRow
	details := map[string][]ganttRow{} // by the label of their phase
	for _, s := range spans {
		within := laneWithin[s.Lane]
		list, label, most := &phases, s.Lane, len(spans)
		if within.phase != "" {
			rows := details[within.phase]
			list, label, most = &rows, within.prefix+line(s.Name, 60), within.rows
		}
		i := slices.IndexFunc(*list, func(row ganttRow) bool { return row.label == label && s.Lane != laneSteps })
		switch {
		case i >= 0:
			(*list)[i].bars = append((*list)[i].bars, c.bar(&s))
		case len(*list) < most:
			*list = append(*list, ganttRow{label: label, detail: within.phase != "", bars: []ganttBar{c.bar(&s)}})
			i = len(*list) - 1
		default:
			continue
		}
		(*list)[i].note = noteOfSpan(&s)
		if n := len((*list)[i].bars); n > 1 {
			(*list)[i].note = plural(int64(n), "attempt", "attempts")
		}
		if within.phase != "" {
			details[within.phase] = *list
		}
	}
	for i := range phases {
		phases[i].note = noteOfPhase(phases[i].label, spans)
	}
	slices.SortStableFunc(phases, func(x, y ganttRow) int { return cmp.Compare(afterOthers(x), afterOthers(y)) })
	for _, row := range phases {
		c.rows = append(append(c.rows, row), details[row.label]...)
		delete(details, row.label)
	}
	for _, phase := range []string{phaseApproval, phaseWorkflow, phaseNotification} { // those whose phase no row tells
		c.rows = append(c.rows, details[phaseNames[phase]]...)
	}
}

// laneWithin are the lanes whose spans lie within a phase, and how many rows of the chart they have.
var laneWithin = map[string]struct {
	phase, prefix string
	rows          int
}{
	laneSteps:      {phaseNames[phaseWorkflow], "", maxStepRows},
	laneDeliveries: {phaseNames[phaseNotification], "to ", maxDeliveryRows},
	laneQuestions:  {phaseNames[phaseApproval], "asked on ", maxDeliveryRows},
}

func afterOthers(row ganttRow) int {
	if row.label == phaseNames[phaseQueueing] {
		return 1
	}
	return 0
}

func (c *gantt) bar(s *Span) ganttBar {
	b := ganttBar{from: micros(c.start.Time, s.Start.Time), open: s.End == nil, to: c.length, class: phaseClasses[s.Lane]}
	if s.End != nil {
		b.to = micros(c.start.Time, s.End.Time)
	}
	switch {
	case s.Status == "failure" || s.Status == "failed":
		b.class = "failure"
	case s.Status == "rolled-back" || s.Status == "unknown":
		b.class = "undone"
	case s.Lane == laneSteps:
		b.class = "workflow"
	case s.Lane == laneDeliveries, s.Lane == laneQuestions:
		b.class = "notification"
	}
	b.title = line(s.Name, 60) + ", " + clock(s.Start) + ": " + noteOfSpan(s)
	return b
}

// noteOfSpan is its length, and its status where that is no success.
func noteOfSpan(s *Span) string {
	note := "open"
	if s.Seconds != nil {
		note = duration(*s.Seconds)
	}
	if s.Status != "" && s.Status != "success" {
		note = line(s.Status, 20) + ", " + note
	}
	return note
}

// noteOfPhase adds up the spans of a phase.
func noteOfPhase(lane string, spans []Span) string {
	total, of, open, shared := 0.0, 0.0, false, false
	for _, s := range spans {
		switch {
		case s.Lane != lane:
		case s.Seconds == nil:
			open = true
		default:
			total += *s.Seconds
			if s.Share != nil {
				of, shared = of+*s.Share, true
			}
		}
	}
	switch {
	case open && total == 0:
		return "open"
	case open:
		return duration(total) + ", open"
	case shared:
		return duration(total) + " · " + percent(of)
	}
	return duration(total)
}

// describe says what the chart shows, for those who do not see it.
func (c *gantt) describe() string {
	if len(c.rows) == 0 {
		return "There is nothing to draw."
	}
	var parts []string
	for _, row := range c.rows {
		parts = append(parts, row.label+" "+row.note)
	}
	return fmt.Sprintf("Bars on a time axis from %s on: %s.", moment(c.start), strings.Join(parts, "; "))
}

// tickSteps are the distances between ticks, in seconds.
var tickSteps = []float64{0.001, 0.01, 0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 2 * 3600, 3 * 3600, 6 * 3600, 12 * 3600, 86400, 2 * 86400, 7 * 86400, 30 * 86400}

// ticks are offsets in microseconds, at most as many as fit.
func (c *gantt) ticks(most int) []int64 {
	length := float64(c.length) / 1e6
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if length/s <= float64(most) {
			step = s
			break
		}
	}
	for length/step > float64(most) {
		step *= 10
	}
	var all []int64
	for at := 0.0; at <= length; at += step {
		all = append(all, int64(at*1e6))
	}
	return all
}
