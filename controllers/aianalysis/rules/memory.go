package rules

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/quantity"
)

const (
	reasonOOMKilled = "OOMKilled"
	mebibyte        = 1 << 20
	// maxMemory is the highest limit that is recommended.
	maxMemory = 64 << 30
	// recent is how long after a container was killed it still counts, when its pod is ready again.
	recent = 30 * time.Minute
)

// outOfMemory is for containers that the kernel killed at their memory limit.
func outOfMemory(f *facts, now time.Time) (investigator.Finding, bool) {
	killed := f.hits(func(p *pod, c *container) bool {
		return !c.init && c.ended != nil && c.ended.reason == reasonOOMKilled && (!p.ready || now.Sub(c.ended.at) < recent)
	})
	if len(killed) == 0 {
		return investigator.Finding{}, false
	}
	c := killed[0].container
	finding := investigator.Finding{
		RootCause: fmt.Sprintf("Container %s of %s runs out of memory: it was killed as OOMKilled in %d of %d pods, at a limit of %s.",
			c.name, f.title(), podsOf(killed), len(f.pods), limitText(c.memoryLimit)) + f.evidence(killed),
		RootCauseConfidence: 95,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 20, RejectedReason: "The new pods have the same limit and would reach it again."},
			undoForMemory(f, c),
		},
	}
	confidence := int32(85)
	if others := f.hits(func(p *pod, o *container) bool {
		return failsToRun(p, o, now) && (o.ended == nil || o.ended.reason != reasonOOMKilled)
	}); len(others) > 0 {
		finding.RootCauseConfidence, confidence = 80, 75
		finding.RootCause += fmt.Sprintf("\n%d other containers fail for other reasons.", len(others))
	}
	limit, problem := doubled(c.memoryLimit)
	if problem != "" {
		finding.NoActionReason = problem
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "increase-memory", Confidence: 30, RejectedReason: problem})
		return finding, true
	}
	finding.Recommendation = &investigator.Recommendation{
		WorkflowID: "increase-memory",
		Parameters: map[string]string{"container": c.name, "memoryLimit": limit},
		Confidence: confidence,
		Rationale: fmt.Sprintf("The limit of container %s goes from %s to %s, twice as much. How much it needs is not known, since it never got further than its limit; if twice is not enough, "+
			"the change is rolled back.", c.name, limitText(c.memoryLimit), limit),
	}
	return finding, true
}

// memoryLimit is what a container may take. A limit that nobody can compute with, such as 1e100000000, limits nothing.
func memoryLimit(c corev1.Container) resource.Quantity {
	limit := *c.Resources.Limits.Memory()
	if quantity.Check(limit) != nil {
		return resource.Quantity{}
	}
	return limit
}

// doubled is the new limit, or why there is none.
func doubled(limit resource.Quantity) (text, problem string) {
	bytes := limit.Value()
	switch {
	case bytes <= 0:
		return "", "The container has no memory limit that could be raised: its node ran out of memory. Look at the node, and at what else runs there."
	case bytes >= maxMemory:
		return "", fmt.Sprintf("The limit is %s already; raising it beyond %d GiB is left to a person.", limit.String(), maxMemory>>30)
	}
	mib := min((2*bytes+mebibyte-1)/mebibyte, maxMemory/mebibyte)
	return fmt.Sprintf("%dMi", mib), ""
}

func limitText(limit resource.Quantity) string {
	if limit.IsZero() {
		return "none"
	}
	return limit.String()
}

// undoForMemory weighs going back against more memory.
func undoForMemory(f *facts, c *container) investigator.Alternative {
	a := investigator.Alternative{Action: "rollout-undo", Confidence: 15, RejectedReason: "There is no earlier revision to go back to."}
	newest, _ := f.newest()
	earlier, ok := f.previous()
	if !ok {
		return a
	}
	was, is := earlier.containers[c.name].memoryLimit, newest.containers[c.name].memoryLimit
	if was.Cmp(is) > 0 {
		a.Confidence = 60
		a.RejectedReason = fmt.Sprintf("Revision %d had a higher limit (%s), but going back would take the whole release away; raising the limit does not.", earlier.number, was.String())
		return a
	}
	a.Confidence = 35
	a.RejectedReason = fmt.Sprintf("Revision %d had the same limit or a lower one (%s); that the newest release needs more memory is possible, but not shown.", earlier.number, limitText(was))
	return a
}
