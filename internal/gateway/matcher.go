package gateway

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/holdfast-dev/holdfast/internal/pattern"
	"github.com/holdfast-dev/holdfast/outbox"
)

// matcher compares one label, as Alertmanager's matchers do: a label that is missing is empty, and a regular expression matches the whole value.
type matcher struct {
	label, value string
	pattern      *pattern.Pattern
	negated      bool
}

var matcherForm = regexp.MustCompile(`^\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*(.*?)\s*$`)

func parseMatcher(text string) (m matcher, _ error) {
	parts := matcherForm.FindStringSubmatch(text)
	if parts == nil {
		return m, fmt.Errorf("%q, expected label=value, label!=value, label=~regexp or label!~regexp", outbox.Bound(text, 300))
	}
	m.label, m.value, m.negated = parts[1], parts[3], strings.HasPrefix(parts[2], "!")
	if strings.HasPrefix(m.value, `"`) {
		plain, err := strconv.Unquote(m.value)
		if err != nil {
			return m, fmt.Errorf("%q: the value has no closing quote, or is not quoted as in JSON", outbox.Bound(text, 300))
		}
		m.value = plain
	} else if strings.ContainsAny(m.value, "=~\"") {
		return m, fmt.Errorf("%q: the value has one of = ~ \", expected it in double quotes", outbox.Bound(text, 300))
	}
	if strings.HasSuffix(parts[2], "~") {
		var err error
		if m.pattern, err = pattern.Compile(`^(?:` + m.value + `)$`); err != nil {
			return m, fmt.Errorf("%q: %w", outbox.Bound(text, 300), err)
		}
	}
	return m, nil
}

func (m matcher) matches(labels map[string]string) bool {
	value := labels[m.label]
	if m.pattern != nil {
		return m.pattern.MatchString(value) != m.negated
	}
	return (value == m.value) != m.negated
}

// instructions are those of its regular expression.
func (m matcher) instructions() uint64 {
	if m.pattern == nil {
		return 0
	}
	return m.pattern.Instructions
}

// matches reports whether all matchers match. known is false if a regular expression would have to match more than maxMatched bytes.
func matches(all []matcher, labels map[string]string) (matched, known bool) {
	for _, m := range all {
		if m.pattern != nil && len(labels[m.label]) > maxMatched {
			return false, false
		}
		if !m.matches(labels) {
			return false, true
		}
	}
	return true, true
}
