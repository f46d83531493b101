package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

const (
	// maxEvidence is how many pods, and how many events, are told of one by one.
	maxEvidence = 3
	// maxQuoted bounds what is quoted of others, in bytes, and maxMessage what of a message is looked at.
	maxQuoted  = 300
	maxMessage = 2 << 10
)

func (f *facts) title() string { return fmt.Sprintf("%s %s/%s", f.kind, f.namespace, f.name) }

func (f *facts) counts() string {
	return fmt.Sprintf("%d of %d replicas are available, %d of the newest template", f.available, f.desired, f.updated)
}

// capital begins a sentence with an ASCII word.
func capital(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

// evidence tells of the first hits, of what happened around them, and of what was not looked at.
func (f *facts) evidence(hits []hit) string {
	var b strings.Builder
	for _, h := range hits[:min(len(hits), maxEvidence)] {
		b.WriteString("\n- pod " + h.pod.name + f.revisionText(h.pod))
		if h.container != nil {
			b.WriteString(", " + h.container.what() + " " + h.container.name)
		}
		b.WriteString(": " + h.text())
	}
	if more := len(hits) - maxEvidence; more > 0 {
		fmt.Fprintf(&b, "\n- and %d more", more)
	}
	for _, w := range f.warnings[:min(len(f.warnings), maxEvidence)] {
		b.WriteString("\n- event " + w)
	}
	if f.truncated {
		fmt.Fprintf(&b, "\nThere are more pods, containers or ReplicaSets than were looked at (%d, %d for each pod, and %d).", maxPods, maxContainers, maxReplicaSets)
	}
	return b.String()
}

func (f *facts) revisionText(p *pod) string {
	i := slices.IndexFunc(f.revisions, func(r revision) bool { return r.uid == p.owner })
	if i < 0 {
		return ""
	}
	return fmt.Sprintf(" (revision %d)", f.revisions[i].number)
}

func (h hit) text() string {
	if h.container == nil {
		switch {
		case len(h.pod.gates) > 0:
			return "not scheduled: gates " + strings.Join(h.pod.gates, ", ")
		case h.pod.unschedulable != "":
			return "not scheduled: " + investigator.Quote(h.pod.unschedulable, maxQuoted)
		}
		return "not ready"
	}
	var parts []string
	if c := h.container; c.waiting != "" {
		parts = append(parts, investigator.Quote(c.waiting, maxQuoted))
		if c.message != "" {
			parts = append(parts, investigator.Quote(c.message, maxQuoted))
		}
	}
	switch n := h.container.restarts; {
	case n == 1:
		parts = append(parts, "1 restart")
	case n > 1:
		parts = append(parts, fmt.Sprintf("%d restarts", n))
	}
	if e := h.container.ended; e != nil {
		parts = append(parts, fmt.Sprintf("last ended with exit code %d (%s)", e.exitCode, investigator.Quote(e.reason, maxQuoted)))
	}
	return strings.Join(parts, "; ")
}
