package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// report is what bench.json holds.
type report struct {
	Machine machine            `json:"machine"`
	Started time.Time          `json:"started"`
	Seconds map[string]float64 `json:"seconds"` // by measure
	Rows    []row              `json:"rows"`
	Failed  map[string]string  `json:"failed,omitempty"` // by measure
}

// row is one figure. With several rounds, Value is their median.
type row struct {
	Measure string    `json:"measure"`
	What    string    `json:"what"`
	Value   float64   `json:"value"`
	Unit    string    `json:"unit,omitempty"`
	Rounds  []float64 `json:"rounds,omitempty"`
	// Target is a bound with its direction, as in ">= 0.95".
	Target string `json:"target,omitempty"`
	Met    *bool  `json:"met,omitempty"`
}

func newReport(ctx context.Context, env *testenv.Env) (*report, error) {
	m, err := describeMachine(ctx, env)
	return &report{Machine: m, Started: time.Now().UTC().Truncate(time.Second), Seconds: map[string]float64{}, Failed: map[string]string{}}, err
}

// add puts a figure into the report. target is "" or a bound: ">= 0.95", "<= 5".
func (r *report) add(measure, what, unit, target string, values ...float64) {
	line := row{Measure: measure, What: what, Unit: unit, Value: sample(values).median(), Target: target}
	if len(values) > 1 {
		line.Rounds = values
	}
	if target != "" {
		met := meets(line.Value, target)
		line.Met = &met
	}
	r.Rows = append(r.Rows, line)
	fmt.Fprintf(os.Stderr, "bench:   %s: %s %s %s\n", what, number(line.Value), unit, spread(values))
}

// meets takes "<= 5" and ">= 0.95".
func meets(value float64, target string) bool {
	direction, bound, _ := strings.Cut(target, " ")
	limit, err := strconv.ParseFloat(bound, 64)
	if err != nil {
		return false
	}
	if direction == "<=" {
		return value <= limit
	}
	return value >= limit
}

func (r *report) fail(measure string, err error) {
	fmt.Fprintf(os.Stderr, "bench: %s failed: %v\n", measure, err)
	r.Failed[measure] = err.Error()
}

func (r *report) writeTable(to io.Writer) {
	fmt.Fprintf(to, "%s\n\n", r.Machine)
	table := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "measure\twhat\tmedian\tspread\ttarget\tmet")
	last := ""
	for _, line := range r.Rows {
		name := line.Measure
		if name == last {
			name = ""
		}
		last = line.Measure
		met := ""
		if line.Met != nil {
			met = map[bool]string{true: "yes", false: "NO"}[*line.Met]
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", name, line.What, strings.TrimSpace(number(line.Value)+" "+line.Unit), spread(line.Rounds), line.Target, met)
	}
	_ = table.Flush()
	for _, name := range slices.Sorted(maps.Keys(r.Failed)) {
		fmt.Fprintf(to, "\n%s failed: %s\n", name, r.Failed[name])
	}
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// spread is the lowest and the highest of several rounds.
func spread(rounds []float64) string {
	if len(rounds) < 2 {
		return ""
	}
	return number(slices.Min(rounds)) + " – " + number(slices.Max(rounds))
}

// number has three significant digits below a hundred, and none after the point above.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100 || v == math.Trunc(v):
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
