//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// summary is what was found in one world.
type summary struct {
	// Store is where its managers drained to.
	Store     drain          `json:"store"`
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

// summaries are those of several worlds; chaos.json has them in this order.
type summaries []*summary

func (all summaries) clean() bool {
	return !slices.ContainsFunc(all, func(s *summary) bool { return !s.clean() })
}

func (all summaries) write(path string) error {
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the summary: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the summary: %w", err)
	}
	return nil
}

// print is for people: a column a world.
func (all summaries) print(to io.Writer) error {
	t := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name string, value func(*summary) any) {
		fmt.Fprint(t, name)
		for _, s := range all {
			fmt.Fprintf(t, "\t%v", value(s))
		}
		fmt.Fprintln(t)
	}
	fmt.Fprintln(t)
	line("store", func(s *summary) any { return s.Store })
	line("seed", func(s *summary) any { return s.Seed })
	line("schedules", func(s *summary) any { return s.Schedules })
	line("failed", func(s *summary) any { return len(s.Failed) })
	for _, name := range all.faults() {
		line("  "+name, func(s *summary) any { return s.Faults[name] })
	}
	line("resources", func(s *summary) any { return s.Total.Resources })
	line("entries appended", func(s *summary) any { return s.Total.Appended })
	line("rows", func(s *summary) any { return s.Total.Rows })
	line("dead letters", func(s *summary) any { return s.Total.DeadLetters })
	line("lost", func(s *summary) any { return s.Total.Lost })
	line("doubled", func(s *summary) any { return s.Total.Doubled })
	line("out of order", func(s *summary) any { return s.Total.OutOfOrder })
	line("chain breaks", func(s *summary) any { return s.Total.ChainBreaks })
	line("changed", func(s *summary) any { return s.Total.Changed })
	line("foreign", func(s *summary) any { return s.Total.Foreign })
	line("undrained", func(s *summary) any { return s.Total.Undrained })
	line("gaps in what the oracle saw", func(s *summary) any { return s.Total.Gaps })
	line("longest recovery", func(s *summary) any { return fmt.Sprintf("%.1f s (schedule %d)", s.LongestRecovery, s.LongestSchedule) })
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range all {
		for _, d := range s.Differences {
			fmt.Fprintln(to, d)
		}
	}
	return nil
}

// faults are the names of all of them.
func (all summaries) faults() []string {
	names := map[string]bool{}
	for _, s := range all {
		for name := range s.Faults {
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
