//go:build unix

package monitor

import (
	"errors"
	"regexp"
)

var (
	minutes = regexp.MustCompile(`\b(\d+)m\b`)
	// seconds is the threshold of the only rule that compares a number of seconds.
	seconds = regexp.MustCompile(`(holdfast_outbox_oldest_pending_seconds\) >) 300\b`)
)

// hurried makes each minute of the rules a second, in windows, offsets and waits, and in the threshold that is a time.
func hurried(rules []byte) ([]byte, error) {
	if !minutes.Match(rules) || !seconds.Match(rules) {
		return nil, errors.New("the rules have no time in minutes, or no threshold of 300 s for holdfast_outbox_oldest_pending_seconds: package monitor must learn what they have instead")
	}
	return seconds.ReplaceAll(minutes.ReplaceAll(rules, []byte("${1}s")), []byte("${1} 5")), nil
}
