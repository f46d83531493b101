package rules

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// startUp is how long a pod may take until it counts as stuck rather than starting.
const startUp = 2 * time.Minute

// notReady is for what is not as it should be although no container fails: a rollout that does not get on, pods that don't get ready, pods that cannot be made.
func notReady(f *facts, now time.Time) (investigator.Finding, bool) {
	if f.healthy() {
		return investigator.Finding{}, false
	}
	unready := f.podHits(func(p *pod) bool { return !p.ready })
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("%s does not become ready: %s, and no container fails.", f.title(), f.counts()) + f.evidence(unready),
		RootCauseConfidence: 60,
	}
	if f.deadlineExceeded {
		finding.RootCause += "\nThe rollout is stuck: " + investigator.Quote(f.stuck, 500)
	}
	if f.createFailure != "" {
		finding.RootCause += "\nPods cannot be made: " + investigator.Quote(f.createFailure, 500)
		finding.RootCauseConfidence = 90
		finding.NoActionReason = "No workflow makes room in a quota or satisfies an admission policy; the message says what is in the way."
		return finding, true
	}
	if f.observedGeneration < f.generation && !f.deadlineExceeded {
		finding.RootCause += "\nIts controller has not seen the newest spec yet."
		finding.NoActionReason = "A change is under way; what it leads to is not known yet."
		return finding, true
	}
	finding.Alternatives = []investigator.Alternative{
		{Action: "restart-pods", Confidence: 30, RejectedReason: "It also takes pods away that serve; a rolling restart keeps as many as the strategy says."},
		{Action: "scale", Confidence: 10, RejectedReason: "Every pod has a node."},
	}
	undo := f.noUndo(30)
	if len(unready) == 0 {
		undo.RejectedReason = "No pod fails."
	}
	switch b, ok := f.blameRollout(unready, now, anything); {
	case !ok:
	case !b.goodRuns:
		undo.RejectedReason = b.nobodyServes()
	case !f.overdue(unready, now):
		undo.RejectedReason = "The pods of the newest revision may still become ready."
	default:
		finding.RootCause += fmt.Sprintf("\nThe pods of revision %d do not become ready, while those of revision %d serve.", b.newest.number, b.good.number)
		finding.RootCauseConfidence = 85
		finding.Recommendation = b.undo(80, "Pods stopped becoming ready")
		finding.Alternatives = append(finding.Alternatives,
			investigator.Alternative{Action: "rollout-restart", Confidence: 20, RejectedReason: "New pods of the same template would not become ready either."})
		return finding, true
	}
	finding.Alternatives = append(finding.Alternatives, undo)
	if finding.NoActionReason = f.waitsFor(unready, now); finding.NoActionReason != "" {
		finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "rollout-restart", Confidence: 20, RejectedReason: finding.NoActionReason})
		return finding, true
	}
	confidence := int32(50)
	if f.deadlineExceeded {
		confidence = 65
	}
	finding.Recommendation = &investigator.Recommendation{WorkflowID: "rollout-restart", Confidence: confidence,
		Rationale: "No container crashes and none waits for its image, so the pods may hang; new pods of the same template start afresh, one after the other, and nothing else changes."}
	return finding, true
}

// overdue reports whether the pods have had the time that a rollout may take without progress.
func (f *facts) overdue(unready []hit, now time.Time) bool {
	if f.deadlineExceeded {
		return true
	}
	for _, h := range unready {
		if now.Sub(h.pod.created) < f.deadline {
			return false
		}
	}
	return true
}

// waitsFor says what the target waits for that a restart would not change; or nothing, when pods run and do not get ready.
func (f *facts) waitsFor(unready []hit, now time.Time) string {
	switch {
	case len(unready) == 0 && f.truncated:
		return "Not all pods were read, and all that were are ready. What is in the way is not known."
	case len(unready) == 0 && len(f.pods) < int(f.desired):
		text := fmt.Sprintf("%d of %d pods are missing, and nothing says why.", int(f.desired)-len(f.pods), f.desired)
		if f.terminating > 0 {
			text += fmt.Sprintf(" %d are on their way out; a pod whose node is lost stays so until somebody removes the node or the pod.", f.terminating)
		}
		return text + " There are no pods that a restart would help."
	case len(unready) == 0 && f.available < f.desired:
		return "All pods are ready and have not been so for minReadySeconds yet, or their controller has not counted them. That is a matter of time."
	case len(unready) == 0:
		return "All pods are ready, and the controller goes on with the rollout by itself."
	case !f.deadlineExceeded && every(unready, func(p *pod) bool { return now.Sub(p.created) < startUp }):
		return "The pods that are not ready are younger than two minutes. They may just be starting."
	case !f.overdue(unready, now) && f.updating():
		return fmt.Sprintf("A rollout is under way, and its pods have not had the %s that it may take without progress. They may just be starting.", f.deadline)
	case every(unready, func(p *pod) bool { return len(p.notMet) > 0 && allReady(p) }):
		return fmt.Sprintf("The containers are ready. The pods wait for readiness gates (%s), which something outside of them sets.", investigator.Quote(strings.Join(unready[0].pod.notMet, ", "), maxQuoted))
	case every(unready, func(p *pod) bool { return !runs(p) }):
		return "The containers have not been started: the node prepares volumes, network or images, or an init container has not ended. The events say more; new pods would wait for the same."
	}
	return ""
}

// updating reports whether what is not ready came with a rollout that is not over.
func (f *facts) updating() bool {
	return f.updated < f.toUpdate || f.olderServes() || f.kind == "Deployment" && f.rolledOut.IsZero()
}

func every(hits []hit, match func(*pod) bool) bool {
	for _, h := range hits {
		if !match(h.pod) {
			return false
		}
	}
	return true
}

// runs reports whether one of the containers runs that are there for more than the start.
func runs(p *pod) bool {
	for i := range p.containers {
		if c := &p.containers[i]; c.running && !c.init {
			return true
		}
	}
	return false
}

func allReady(p *pod) bool {
	some := false
	for i := range p.containers {
		if c := &p.containers[i]; !c.init || c.sidecar {
			if !c.ready {
				return false
			}
			some = true
		}
	}
	return some
}
