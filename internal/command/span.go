package command

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Span is a length of time as a flag: as package time has it, and in whole days and weeks (30d, 2w).
type Span time.Duration

// String implements pflag.Value.
func (s *Span) String() string { return time.Duration(*s).String() }

// Type implements pflag.Value.
func (s *Span) Type() string { return "duration" }

// Set implements pflag.Value.
func (s *Span) Set(text string) error {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if digits, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseInt(digits, 10, 64)
			if err != nil || n < 0 || n > 36500 {
				return fmt.Errorf("length of time is %q, expected a number before %s, as in 30d, 2w, 12h or 90m", text, suffix)
			}
			*s = Span(time.Duration(n) * unit)
			return nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("length of time is %q, expected one as in 30d, 2w, 12h or 90m", text)
	}
	*s = Span(d)
	return nil
}
