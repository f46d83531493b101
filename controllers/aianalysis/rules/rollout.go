package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Reasons of the kubelet for a container that waits.
var (
	pullReasons  = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
	startReasons = []string{"CrashLoopBackOff", "CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError"}
)

// configError is the kubelet's reason for a container that cannot be made of its spec: mostly what its environment is to be read from is not there.
const configError = "CreateContainerConfigError"

func waitsForImage(c *container) bool { return slices.Contains(pullReasons, c.waiting) }

// cannotPull is for images that the kubelet does not get.
func cannotPull(f *facts, now time.Time) (investigator.Finding, bool) {
	all := f.hits(func(_ *pod, c *container) bool { return waitsForImage(c) })
	if len(all) == 0 {
		return investigator.Finding{}, false
	}
	failing, _ := f.focus(all, func(h hit) string { return byContainer(h) + " " + h.container.image })
	c := failing[0].container
	image := investigator.Quote(c.image, maxQuoted)
	finding := investigator.Finding{
		RootCause: fmt.Sprintf("The image %s of %s %s cannot be pulled in %d of %d pods of %s.", image, c.what(), c.name, podsOf(failing), len(f.pods), f.title()) +
			f.evidence(failing),
		RootCauseConfidence: 95,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 10, RejectedReason: "New pods would ask for the same image."},
			{Action: "set-image", Confidence: 20, RejectedReason: "Nothing says which other image is right."},
		},
	}
	other := func(newest, good revision) bool {
		is, _ := c.in(&newest.template)
		was, _ := c.in(&good.template)
		return is.Image != was.Image
	}
	b, ok := f.blameRollout(all, now, other)
	if !ok {
		finding.NoActionReason = "No earlier revision has another image, or the rollout was over long ago: going back would ask for the same image. Look at the registry and at the pull secrets."
		if _, there := c.in(&f.workload.Template); !there {
			finding.NoActionReason = f.injected(c)
		} else if text := f.undoByHand(failing); text != "" {
			finding.NoActionReason = text
		}
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "rollout-undo", Confidence: 15, RejectedReason: finding.NoActionReason})
		return finding, true
	}
	finding.Recommendation = b.undo(92, fmt.Sprintf("The image of %s %s became %s", c.what(), c.name, image))
	return finding, true
}

// injected is why nothing is recommended for a container that the target's template does not have.
func (f *facts) injected(c *container) string {
	return fmt.Sprintf("The template of the target has no %s %s: something injects it into the pods, and no workflow changes that. Look at what injects it.", c.what(), c.name)
}

// cannotConfigure is for containers that need a ConfigMap, a Secret or a key that is not there, in their environment or in a volume.
func cannotConfigure(f *facts, now time.Time) (investigator.Finding, bool) {
	// An event says no more than that something was missing once, and anybody who may make events may have made it. A pod that has had its time, and is not made yet, bears it out.
	failing := f.hits(func(p *pod, c *container) bool {
		return c.waiting == configError || p.missing != "" && beingMade(c) && now.Sub(p.created) >= startUp
	})
	if len(failing) == 0 {
		return investigator.Finding{}, false
	}
	chosen, _ := f.focus(failing, byContainer)
	c := chosen[0].container
	why := chosen[0].pod.missing
	if c.waiting == configError {
		why = investigator.Quote(c.message, maxQuoted)
	}
	finding := investigator.Finding{
		RootCause: fmt.Sprintf("%s %s of %s cannot be made in %d of %d pods: %s.", capital(c.what()), c.name, f.title(), podsOf(chosen), len(f.pods), strings.TrimSuffix(why, ".")) +
			f.evidence(chosen),
		RootCauseConfidence: 95,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 5, RejectedReason: "New pods would need the same."},
			{Action: "rollout-restart", Confidence: 5, RejectedReason: "New pods would need the same."},
		},
	}
	b, ok := f.blameRollout(failing, now, anything)
	if ok {
		finding.RootCause += fmt.Sprintf("\nIt began with the rollout of revision %d.", b.newest.number)
		finding.Recommendation = b.undo(88, "What is missing came to be needed")
		return finding, true
	}
	finding.NoActionReason = "No workflow makes a ConfigMap or a Secret. Make what is missing, or correct the template; the kubelet tries again by itself."
	if text := f.undoByHand(failing); text != "" {
		finding.NoActionReason = text
	}
	finding.Alternatives = append(finding.Alternatives, f.noUndo(15))
	return finding, true
}

// beingMade: the kubelet has not come to the container yet, and does not say that it cannot.
func beingMade(c *container) bool {
	return c.waiting == "ContainerCreating" || c.waiting == "PodInitializing"
}

// failsToRun is for a container that crashes, also one that happens to run just now, or that cannot be created.
func failsToRun(c *container, now time.Time) bool {
	if slices.Contains(startReasons, c.waiting) {
		return true
	}
	if c.ended == nil || c.ended.exitCode == 0 {
		return false
	}
	// A container without a readiness probe is ready between two crashes.
	return !c.running || now.Sub(c.ended.at) < recent && (!c.ready || c.restarts >= 2)
}

// crashes is for containers that start and end, over and over, or don't start at all.
func crashes(f *facts, now time.Time) (investigator.Finding, bool) {
	all := f.hits(func(_ *pod, c *container) bool { return failsToRun(c, now) && !wasKilled(c) })
	if len(all) == 0 {
		return investigator.Finding{}, false
	}
	failing, others := f.focus(all, byContainer)
	c := failing[0].container
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("%s %s of %s does not keep running: it fails in %d of %d pods.", capital(c.what()), c.name, f.title(), podsOf(failing), len(f.pods)) + f.evidence(failing),
		RootCauseConfidence: 60,
	}
	if len(others) > 0 {
		finding.RootCause += fmt.Sprintf("\nContainers that fail beside it: %d.", len(others))
	}
	memory := investigator.Alternative{Action: "increase-memory", Confidence: 5, RejectedReason: "No container was killed for its memory."}
	if len(f.hits(func(_ *pod, c *container) bool { return wasKilled(c) })) > 0 {
		memory.RejectedReason = "A container was killed for its memory before, and runs again."
	}
	if b, ok := f.blameRollout(all, now, anything); ok {
		finding.RootCause += fmt.Sprintf("\nIt began with the rollout of revision %d.", b.newest.number)
		finding.RootCauseConfidence = b.adjust(90)
		finding.Recommendation = b.undo(88, "The crashes began")
		finding.Alternatives = []investigator.Alternative{
			{Action: "restart-pods", Confidence: 15, RejectedReason: "The kubelet has restarted the container already, which did not help."},
			{Action: "rollout-restart", Confidence: 10, RejectedReason: "New pods of the same template would crash in the same way."},
			memory,
		}
		return finding, true
	}
	finding.Alternatives = []investigator.Alternative{f.noUndo(25), memory}
	problem := f.undoByHand(all)
	if _, there := c.in(&f.workload.Template); !there {
		problem = f.injected(c)
	}
	if problem != "" {
		finding.RootCauseConfidence = 85
		finding.NoActionReason = problem
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "restart-pods", Confidence: 15, RejectedReason: problem})
		return finding, true
	}
	finding.Recommendation = &investigator.Recommendation{WorkflowID: "restart-pods", Confidence: 40,
		Rationale: "No rollout explains the crashes, so something around the pods may have changed, or a state that they keep. New pods on other nodes may help; it is not likely, and a person should look."}
	return finding, true
}
