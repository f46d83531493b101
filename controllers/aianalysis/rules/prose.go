package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// maxEvidence is how many pods, and how many events, are told of one by one.
const maxEvidence = 3

func (f *facts) title() string { return fmt.Sprintf("%s %s/%s", f.kind, f.namespace, f.name) }

func (f *facts) counts() string {
	return fmt.Sprintf("%d of %d replicas are available, %d of the newest template", f.available, f.desired, f.updated)
}

// evidence tells of the first hits, of what happened around them, and of what was not looked at.
func (f *facts) evidence(hits []hit) string {
	var b strings.Builder
	for _, h := range hits[:min(len(hits), maxEvidence)] {
		b.WriteString("\n- pod " + h.pod.name + f.revisionText(h.pod))
		if h.container != nil {
			b.WriteString(", container " + h.container.name)
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
		fmt.Fprintf(&b, "\nThere are more pods or ReplicaSets than were looked at (%d and %d).", maxPods, maxReplicaSets)
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
		if h.pod.unschedulable != "" {
			return "not scheduled: " + investigator.Clean(h.pod.unschedulable, 300)
		}
		return "not ready"
	}
	var parts []string
	if c := h.container; c.waiting != "" {
		parts = append(parts, c.waiting)
		if c.message != "" {
			parts = append(parts, investigator.Clean(c.message, 300))
		}
	}
	if h.container.restarts > 0 {
		parts = append(parts, fmt.Sprintf("%d restarts", h.container.restarts))
	}
	if e := h.container.ended; e != nil {
		parts = append(parts, fmt.Sprintf("last ended with exit code %d (%s)", e.exitCode, e.reason))
	}
	return strings.Join(parts, "; ")
}
