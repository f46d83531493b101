//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// summary is what chaos.json has.
type summary struct {
	Seed      uint64         `json:"seed"`
	Schedules int            `json:"schedules"`
	Faults    map[string]int `json:"faults"`
	// LongestRecovery, from the end of the faults until what was appended by then was durable, and the schedule that took it.
	LongestRecovery float64 `json:"longestRecoverySeconds"`
	LongestSchedule int     `json:"longestRecoverySchedule"`
	Failed          []int   `json:"failedSchedules"`
	// Total is the oracle's last word on everything.
	Total       oracle.Counts       `json:"total"`
	Differences []oracle.Difference `json:"differences"`
	Runs        []played            `json:"runs"`
}

func (s *summary) add(p played) {
	s.Schedules++
	s.Runs = append(s.Runs, p)
	for what, n := range p.Counts {
		s.Faults[what] += n
	}
	if !p.clean() {
		s.Failed = append(s.Failed, p.Number)
	}
	if p.Recovery > s.LongestRecovery {
		s.LongestRecovery, s.LongestSchedule = p.Recovery, p.Number
	}
}

func (s *summary) clean() bool { return len(s.Failed) == 0 && len(s.Differences) == 0 }

func (s *summary) write(path string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

// print is for people.
func (s *summary) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name string, value any) { fmt.Fprintf(t, "%s\t%v\n", name, value) }
	fmt.Fprintln(t)
	line("seed", s.Seed)
	line("schedules", s.Schedules)
	line("failed", len(s.Failed))
	names := make([]string, 0, len(s.Faults))
	for name := range s.Faults {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		line("  "+name, s.Faults[name])
	}
	line("resources", s.Total.Resources)
	line("entries appended", s.Total.Appended)
	line("rows", s.Total.Rows)
	line("dead letters", s.Total.DeadLetters)
	line("lost", s.Total.Lost)
	line("doubled", s.Total.Doubled)
	line("out of order", s.Total.OutOfOrder)
	line("chain breaks", s.Total.ChainBreaks)
	line("changed", s.Total.Changed)
	line("foreign", s.Total.Foreign)
	line("undrained", s.Total.Undrained)
	line("gaps in what the oracle saw", s.Total.Gaps)
	line("longest recovery", fmt.Sprintf("%.1f s (schedule %d)", s.LongestRecovery, s.LongestSchedule))
	if err := t.Flush(); err != nil {
		return err
	}
	for _, d := range s.Differences {
		fmt.Fprintln(to, d)
	}
	return nil
}
