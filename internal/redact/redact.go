package redact

import (
	"regexp"
	"strings"
)

// shape is what a kind of credential looks like. keep is what stays of a match, before and after the mark.
type shape struct {
	name    string
	pattern *regexp.Regexp
	// value is the group that is replaced; 0 is the whole match.
	value int
}

// named are the names that say of a value that it is secret.
const named = `(?:password|passwd|pwd|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|signature)`

// bare is a value up to where a query, a list or a line goes on; one that was marked before is taken whole, so that it is recognized.
const bare = `(\[redacted: [a-z-]+\]|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&,;'"]+)`

// shapes are tried in this order: those with a form of their own before those that are known by what stands beside them.
var shapes = []shape{
	{"private-key", regexp.MustCompile(`(?s)-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----.*?(?:-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----|\z)`), 0},
	{"slack-webhook", regexp.MustCompile(`(?i)https?://hooks\.slack(?:-gov)?\.com/[a-z]+/[A-Za-z0-9/_-]+`), 0},
	{"slack-token", regexp.MustCompile(`(?:xox[abceoprs]|xapp)-[A-Za-z0-9-]{10,}`), 0},
	{"github-token", regexp.MustCompile(`gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}`), 0},
	{"gitlab-token", regexp.MustCompile(`gl(?:pat|ptt|rt|dt|soat|cbt)-[A-Za-z0-9_-]{20,}`), 0},
	{"aws-access-key", regexp.MustCompile(`(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}`), 0},
	{"google-api-key", regexp.MustCompile(`AIza[A-Za-z0-9_-]{35}`), 0},
	{"model-api-key", regexp.MustCompile(`\bsk-(?:[A-Za-z0-9]{20,}|(?:ant|proj|svcacct)-[A-Za-z0-9_-]{20,})`), 0},
	{"jwt", regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*)?`), 0},
	{"authorization", regexp.MustCompile(`(?i)\b(?:bearer|basic)[ \t]+([A-Za-z0-9._~+/-]{8,}=*)`), 1},
	{"password", regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s/?#@:"'<>]*:([^\s/?#"'<>]*)@`), 1},
	// One with a raw /, ? or # in it, which is no URL any more. Digits before them are a port.
	{"password", regexp.MustCompile(`(?i)[a-z][a-z0-9+.-]*://[^\s/?#@:"'<>]*:((?:[^\s/?#"'<>]*[^\s/?#"'<>0-9][^\s/?#"'<>]*)?[/?#][^\s"'<>]*)@`), 1},
	{"secret", regexp.MustCompile(`(?i)"[a-z0-9_.-]*` + named + `"\s*:\s*("(?:[^"\\]|\\.)*")`), 1},
	{"secret", regexp.MustCompile(`(?i)` + named + `=` + bare), 1},
}

// Text returns the text with a mark in the place of each credential.
func Text(text string) string {
	for i := range shapes {
		text = shapes[i].replace(text)
	}
	return text
}

func (s *shape) replace(text string) string {
	found := s.pattern.FindAllStringSubmatchIndex(text, -1)
	if len(found) == 0 {
		return text
	}
	var b strings.Builder
	end := 0
	for _, at := range found {
		from, to := at[2*s.value], at[2*s.value+1]
		if marked(text[from:to]) {
			continue
		}
		b.WriteString(text[end:from])
		b.WriteString("[redacted: " + s.name + "]")
		end = to
	}
	b.WriteString(text[end:])
	return b.String()
}

// marked reports whether another shape has replaced the value already, whole or in its quotes.
func marked(value string) bool {
	value = strings.Trim(value, `"'`)
	return value == "" || strings.HasPrefix(value, "[redacted: ") && strings.HasSuffix(value, "]")
}
