package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Version of the rules: raise it with every change of what is gathered, or of the playbook.
const Version = "1"

// Tools, as kubectl calls them.
const (
	toolGet  = "get"
	toolList = "list"
)

// Config says which version answers. The rules have no prompt.
func (r *Rules) Config() investigator.Config { return investigator.Config{Version: Version} }

// looked is what was read from the API server, in that order. A target of a kind that the rules do not know is not read.
func (f *facts) looked() []investigator.Evidence {
	if !f.supported {
		return nil
	}
	target := investigator.Evidence{Tool: toolGet, Purpose: "target " + f.title(), Excerpt: "not found"}
	if !f.exists {
		return []investigator.Evidence{target}
	}
	target.Excerpt = f.targetText()
	all := []investigator.Evidence{target}
	if f.kind == "Deployment" {
		all = append(all, listed("ReplicaSets", f.revisionLines()))
	}
	return append(all, listed("pods", f.podLines()), listed("events of type Warning", f.warnings))
}

func listed(what string, lines []string) investigator.Evidence {
	e := investigator.Evidence{Tool: toolList, Purpose: what + " of the target", Excerpt: "none"}
	if len(lines) > 0 {
		e.Excerpt = strings.Join(lines, "\n")
	}
	return e
}

func (f *facts) targetText() string {
	parts := []string{f.counts(), fmt.Sprintf("generation %d, of which %d was observed", f.generation, f.observedGeneration)}
	if f.deleting {
		parts = append(parts, "being deleted")
	}
	if f.paused {
		parts = append(parts, "paused")
	}
	if f.deadlineExceeded {
		parts = append(parts, "rollout stuck: "+f.stuck)
	}
	if f.createFailure != "" {
		parts = append(parts, "pods cannot be made: "+f.createFailure)
	}
	return strings.Join(parts, "; ")
}

func (f *facts) revisionLines() []string {
	var lines []string
	for _, r := range f.revisions {
		var containers []string
		for _, name := range slices.Sorted(maps.Keys(r.containers)) {
			text := name + " " + r.containers[name].image
			if limit := r.containers[name].memoryLimit; !limit.IsZero() {
				text += ", memory limit " + limit.String()
			}
			containers = append(containers, text)
		}
		lines = append(lines, fmt.Sprintf("revision %d, made %s: %s", r.number, r.created.UTC().Format(time.RFC3339), strings.Join(containers, "; ")))
	}
	return lines
}

// podLines has a line for each container. Pods that are not ready come first, since what follows may be cut.
func (f *facts) podLines() []string {
	var lines []string
	for _, ready := range []bool{false, true} {
		for i := range f.pods {
			if p := &f.pods[i]; p.ready == ready {
				lines = append(lines, f.linesOf(p)...)
			}
		}
	}
	return lines
}

func (f *facts) linesOf(p *pod) []string {
	state := "ready"
	if !p.ready {
		state = hit{pod: p}.text()
	}
	lines := []string{p.name + f.revisionText(p) + ": " + state}
	for i := range p.containers {
		c := &p.containers[i]
		text := hit{pod: p, container: c}.text()
		if text == "" && c.running {
			text = "running"
		}
		lines = append(lines, "  "+c.name+" "+c.image+": "+text)
	}
	return lines
}
