package rules

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

const (
	reasonOOMKilled = "OOMKilled"
	mebibyte        = 1 << 20
	// maxMemory is the highest limit that is recommended.
	maxMemory = 64 << 30
	// recent is how long after a container ended it still counts, when it runs again.
	recent = 30 * time.Minute
)

// outOfMemory is for containers that the kernel killed for their memory. One that runs again comes after what fails now.
func outOfMemory(f *facts, now time.Time) (investigator.Finding, bool) {
	killed := f.hits(func(_ *pod, c *container) bool { return wasKilled(c) && !c.running })
	others := f.hits(func(_ *pod, c *container) bool { return !wasKilled(c) && (failsToRun(c, now) || waitsForImage(c)) })
	if len(killed) == 0 && len(others) == 0 {
		killed = f.hits(func(_ *pod, c *container) bool { return wasKilled(c) && now.Sub(c.ended.at) < recent })
	}
	if len(killed) == 0 {
		return investigator.Finding{}, false
	}
	killed, more := f.focus(killed, byContainer)
	c, p := killed[0].container, killed[0].pod
	finding := investigator.Finding{
		RootCause: fmt.Sprintf("%s %s of %s runs out of memory: it was killed as OOMKilled in %d of %d pods, %s.",
			capital(c.what()), c.name, f.title(), podsOf(killed), len(f.pods), limitsText(p, c)) + f.evidence(killed),
		RootCauseConfidence: 95,
		Alternatives:        []investigator.Alternative{{Action: "restart-pods", Confidence: 20, RejectedReason: "New pods would need as much memory."}},
	}
	confidence := int32(85)
	if n := len(more) + len(others); n > 0 {
		finding.RootCauseConfidence, confidence = 80, 75
		finding.RootCause += fmt.Sprintf("\nContainers that fail beside it: %d.", n)
	}
	finding.Alternatives = append(finding.Alternatives, undoForMemory(f, c))
	limit, problem := f.moreFor(p, c)
	if problem != "" {
		finding.NoActionReason = problem
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "increase-memory", Confidence: 30, RejectedReason: problem})
		return finding, true
	}
	finding.Recommendation = &investigator.Recommendation{
		WorkflowID: "increase-memory",
		Parameters: map[string]string{"container": c.name, "memoryLimit": limit},
		Confidence: confidence,
		Rationale: fmt.Sprintf("The limit of %s %s goes from %s to %s, twice as much. How much it needs is not known, since it never got further than its limit; if twice is not enough, "+
			"the change is rolled back.", c.what(), c.name, limitText(c.memoryLimit), limit),
	}
	return finding, true
}

func wasKilled(c *container) bool { return c.ended != nil && c.ended.reason == reasonOOMKilled }

// moreFor is the new limit of a container that was killed, or why no workflow can raise what it reached.
func (f *facts) moreFor(p *pod, c *container) (limit, problem string) {
	template, inTemplate := c.in(&f.workload.Template)
	has := investigator.MemoryLimit(template.Resources)
	switch {
	case !inTemplate:
		return "", fmt.Sprintf("The template of the target has no %s %s: something injects it into the pods. Raise its limit where that is configured.", c.what(), c.name)
	case !p.memoryLimit.IsZero():
		return "", fmt.Sprintf("The pod as a whole may take %s (spec.resources), which all its containers share, and no workflow changes that. Raise it in the template.", p.memoryLimit.String())
	case c.memoryLimit.IsZero():
		return "", "The container has no memory limit that could be raised: its node ran out of memory. Look at the node, and at what else runs there."
	case has.IsZero():
		return "", fmt.Sprintf("The template sets no memory limit for %s %s; the pods got %s from elsewhere, such as a LimitRange. Raise it there, or set one in the template.", c.what(), c.name, c.memoryLimit.String())
	case has.Cmp(c.memoryLimit) > 0:
		return "", fmt.Sprintf("The template has a limit of %s for %s %s by now, more than the %s at which it was killed: the limit was raised already, or something lowers it in the pods.",
			has.String(), c.what(), c.name, c.memoryLimit.String())
	case has.Cmp(c.memoryLimit) < 0:
		return "", fmt.Sprintf("The pods have a limit of %s for %s %s and the template one of %s: something else, such as an autoscaler, sets it in the pods. Raise it there.",
			c.memoryLimit.String(), c.what(), c.name, has.String())
	}
	return doubled(c.memoryLimit)
}

// doubled is the new limit, or why there is none.
func doubled(limit resource.Quantity) (text, problem string) {
	bytes := limit.Value()
	switch {
	case bytes < quantity.MinMemory:
		return "", fmt.Sprintf("The limit is %s, with which no container starts: it has a wrong unit, or none. What was meant is not known.", limit.String())
	case bytes >= maxMemory:
		return "", fmt.Sprintf("The limit is %s already; raising it beyond %d GiB is left to a person.", limit.String(), maxMemory>>30)
	}
	mib := min((2*bytes+mebibyte-1)/mebibyte, maxMemory/mebibyte)
	return fmt.Sprintf("%dMi", mib), ""
}

// limitsText names the limits that the container could have reached.
func limitsText(p *pod, c *container) string {
	text := "at a limit of " + c.memoryLimit.String()
	if c.memoryLimit.IsZero() {
		text = "without a memory limit"
	}
	if !p.memoryLimit.IsZero() {
		text += fmt.Sprintf(", in a pod with a limit of %s", p.memoryLimit.String())
	}
	return text
}

func limitText(limit resource.Quantity) string {
	if limit.IsZero() {
		return "none"
	}
	return limit.String()
}

// limitIn is the memory limit of the container in a revision.
func limitIn(r revision, c *container) (limit resource.Quantity, there bool) {
	spec, there := c.in(&r.template)
	return investigator.MemoryLimit(spec.Resources), there
}

// undoForMemory weighs going back against more memory.
func undoForMemory(f *facts, c *container) investigator.Alternative {
	newest, _ := f.newest()
	earlier, ok := f.previous()
	is, there := limitIn(newest, c)
	if !ok || !there {
		a := f.noUndo(15)
		if ok {
			a.RejectedReason = fmt.Sprintf("The template has no %s %s, in no revision that could be gone back to.", c.what(), c.name)
		}
		return a
	}
	a := investigator.Alternative{Action: "rollout-undo", Confidence: 35}
	was, there := limitIn(earlier, c)
	switch {
	case !there:
		a.RejectedReason = fmt.Sprintf("Revision %d had no %s %s; going back would take the whole release away.", earlier.number, c.what(), c.name)
	case was.Cmp(is) > 0:
		a.Confidence = 60
		a.RejectedReason = fmt.Sprintf("Revision %d had a higher limit (%s), but going back would take the whole release away; raising the limit does not.", earlier.number, was.String())
	default:
		a.RejectedReason = fmt.Sprintf("Revision %d had the same limit or a lower one (%s); that the newest release needs more memory is possible, but not shown.", earlier.number, limitText(was))
	}
	return a
}
