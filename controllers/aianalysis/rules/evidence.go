package rules

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Version of the rules: raise it with every change of what is gathered, or of the playbook.
const Version = "2"

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
	parts := []string{f.counts(), fmt.Sprintf("generation %d, observed %d", f.generation, f.observedGeneration)}
	if f.deleting {
		parts = append(parts, "being deleted")
	}
	if f.paused {
		parts = append(parts, "paused")
	}
	if f.deadlineExceeded {
		parts = append(parts, "rollout stuck: "+investigator.Quote(f.stuck, 500))
	}
	if f.createFailure != "" {
		parts = append(parts, "pods cannot be made: "+investigator.Quote(f.createFailure, 500))
	}
	if f.workload.Person != "" {
		parts = append(parts, f.workload.Person)
	}
	if f.terminating > 0 {
		parts = append(parts, fmt.Sprintf("%d pods are on their way out", f.terminating))
	}
	return strings.Join(parts, "; ")
}

func (f *facts) revisionLines() []string {
	var lines []string
	for _, r := range f.revisions[:min(len(f.revisions), maxTold)] {
		var parts []string
		spec := r.template.Spec
		for _, c := range spec.InitContainers[:min(len(spec.InitContainers), maxContainers)] {
			parts = append(parts, "init "+templateText(c))
		}
		for _, c := range spec.Containers[:min(len(spec.Containers), maxContainers)] {
			parts = append(parts, templateText(c))
		}
		lines = append(lines, fmt.Sprintf("revision %d, made %s: %s", r.number, r.created.UTC().Format(time.RFC3339), strings.Join(parts, "; ")))
	}
	return lines
}

func templateText(c corev1.Container) string {
	return c.Name + " " + limited(c.Image, investigator.MemoryLimit(c.Resources))
}

// limited is an image with the memory limit that it runs with, if it has one.
func limited(image string, limit resource.Quantity) string {
	text := investigator.Quote(image, maxQuoted)
	if !limit.IsZero() {
		text += ", memory limit " + limit.String()
	}
	return text
}

// maxTold is how many pods, and how many revisions, the evidence has. What follows would be cut from it.
const maxTold = 10

// podLines has a line for each container. Pods that are not ready come first, since what follows may be cut.
func (f *facts) podLines() []string {
	var lines []string
	told := 0
	for _, ready := range []bool{false, true} {
		for i := range f.pods {
			if p := &f.pods[i]; p.ready == ready && told < maxTold {
				lines = append(lines, f.linesOf(p)...)
				told++
			}
		}
	}
	if more := len(f.pods) - told; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

func (f *facts) linesOf(p *pod) []string {
	state := "ready"
	if !p.ready {
		state = hit{pod: p}.text()
	}
	if !p.memoryLimit.IsZero() {
		state += "; memory limit of the whole pod " + p.memoryLimit.String()
	}
	lines := []string{p.name + f.revisionText(p) + ": " + state}
	for i := range p.containers {
		c := &p.containers[i]
		text := hit{pod: p, container: c}.text()
		if text == "" && c.running {
			text = "running"
		}
		lines = append(lines, "  "+c.name+" "+limited(c.image, c.memoryLimit)+": "+text)
	}
	return lines
}
