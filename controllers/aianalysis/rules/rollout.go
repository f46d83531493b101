package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Reasons of the kubelet for a container that waits.
var (
	pullReasons  = []string{"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable"}
	startReasons = []string{"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PreStartHookError", "PostStartHookError"}
)

// cannotPull is for images that the kubelet does not get.
func cannotPull(f *facts, now time.Time) (investigator.Finding, bool) {
	failing := f.hits(func(_ *pod, c *container) bool { return slices.Contains(pullReasons, c.waiting) })
	if len(failing) == 0 {
		return investigator.Finding{}, false
	}
	c := failing[0].container
	finding := investigator.Finding{
		RootCause: fmt.Sprintf("The image %s of container %s cannot be pulled in %d of %d pods of %s.", c.image, c.name, podsOf(failing), len(f.pods), f.title()) +
			f.evidence(failing),
		RootCauseConfidence: 95,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 10, RejectedReason: "New pods would ask for the same image."},
			{Action: "set-image", Confidence: 20, RejectedReason: "Nothing says which other image is right."},
		},
	}
	other := func(newest, good revision) bool {
		return newest.containers[c.name].image != good.containers[c.name].image
	}
	b, ok := f.blameRollout(failing, now, other)
	if !ok {
		finding.NoActionReason = "No earlier revision has another image, or the rollout was over long ago: going back would ask for the same image. Look at the registry and at the pull secrets."
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "rollout-undo", Confidence: 15, RejectedReason: finding.NoActionReason})
		return finding, true
	}
	finding.Recommendation = undo(b, 92, fmt.Sprintf("The image of container %s became %s", c.name, c.image))
	return finding, true
}

// failsToRun is for a container that crashes, also one that happens to run just now, or that cannot be created.
func failsToRun(p *pod, c *container, now time.Time) bool {
	if slices.Contains(startReasons, c.waiting) {
		return true
	}
	if c.ended == nil || c.ended.exitCode == 0 {
		return false
	}
	// A container without a readiness probe makes its pod ready between two crashes.
	return !p.ready || c.restarts >= 2 && now.Sub(c.ended.at) < recent
}

// crashes is for containers that start and end, over and over, or don't start at all.
func crashes(f *facts, now time.Time) (investigator.Finding, bool) {
	failing := f.hits(func(p *pod, c *container) bool { return failsToRun(p, c, now) })
	if len(failing) == 0 {
		return investigator.Finding{}, false
	}
	c := failing[0].container
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("Container %s of %s does not keep running: it fails in %d of %d pods.", c.name, f.title(), podsOf(failing), len(f.pods)) + f.evidence(failing),
		RootCauseConfidence: 60,
	}
	b, ok := f.blameRollout(failing, now, func(_, _ revision) bool { return true })
	if ok {
		finding.RootCause += fmt.Sprintf("\nIt began with the rollout of revision %d.", b.newest.number)
		finding.RootCauseConfidence = b.adjust(90)
		finding.Recommendation = undo(b, 88, "The crashes began")
		finding.Alternatives = []investigator.Alternative{
			{Action: "restart-pods", Confidence: 15, RejectedReason: "The kubelet has restarted the container already, which did not help."},
			{Action: "rollout-restart", Confidence: 10, RejectedReason: "New pods of the same template would crash in the same way."},
			{Action: "increase-memory", Confidence: 5, RejectedReason: "No container was killed for its memory."},
		}
		return finding, true
	}
	finding.Recommendation = &investigator.Recommendation{WorkflowID: "restart-pods", Confidence: 40,
		Rationale: "No rollout explains the crashes, so something around the pods may have changed, or a state that they keep. New pods on other nodes may help; it is not likely, and a person should look."}
	finding.Alternatives = []investigator.Alternative{
		{Action: "rollout-undo", Confidence: 25, RejectedReason: undoRejected(f)},
		{Action: "increase-memory", Confidence: 5, RejectedReason: "No container was killed for its memory."},
	}
	return finding, true
}

// undoRejected says why going back is not what helps.
func undoRejected(f *facts) string {
	if f.kind != "Deployment" {
		return fmt.Sprintf("The workflow undoes rollouts of Deployments only, not of a %s.", f.kind)
	}
	if _, ok := f.previous(); !ok {
		return "There is no earlier revision to go back to."
	}
	return "The rollout was over more than a day ago, or pods of every earlier revision fail too."
}

func undo(b blame, confidence int32, what string) *investigator.Recommendation {
	return &investigator.Recommendation{
		WorkflowID: "rollout-undo",
		Parameters: map[string]string{"toRevision": strconv.FormatInt(b.good.number, 10)},
		Confidence: min(b.adjust(confidence), 97),
		Rationale:  b.rationale(what),
	}
}
