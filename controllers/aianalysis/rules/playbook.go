package rules

import (
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// rule examines the facts. ok reports whether it has a finding.
type rule func(f *facts, now time.Time) (finding investigator.Finding, ok bool)

// playbook lists the rules in order. The first one with a finding decides.
var playbook = []rule{nothingToInvestigate, outOfMemory, cannotPull, cannotConfigure, crashes, notScheduled, notReady}

// diagnose is pure.
func diagnose(f *facts, now time.Time) investigator.Finding {
	for _, r := range playbook {
		if finding, ok := r(f, now); ok {
			return f.leaveToPerson(finding)
		}
	}
	return healthy(f)
}

// nothingToInvestigate is for targets that no workflow can fix.
func nothingToInvestigate(f *facts, _ time.Time) (investigator.Finding, bool) {
	var cause, reason string
	switch {
	case !f.supported:
		cause = fmt.Sprintf("The rules do not know targets like %s: they know Deployments, StatefulSets and DaemonSets of apps/v1.", f.title())
		reason = "Nothing is known about a target of this kind. Ask another investigator, or look at it yourself."
	case !f.exists:
		cause, reason = fmt.Sprintf("%s does not exist.", f.title()), "There is nothing to fix."
	case f.deleting:
		cause, reason = fmt.Sprintf("%s is being deleted.", f.title()), "A target that is being deleted is not fixed."
	case f.desired == 0 && f.kind != "DaemonSet":
		cause, reason = fmt.Sprintf("%s is scaled to zero: nothing is meant to run.", f.title()), "Scaling up again is somebody's decision, not a repair."
	case f.paused && !f.healthy():
		cause = fmt.Sprintf("The rollout of %s is paused; %s.", f.title(), f.counts())
		reason = "A paused rollout was stopped by a person, and no change would be rolled out. Resume it first."
	default:
		return investigator.Finding{}, false
	}
	return investigator.Finding{RootCause: cause, RootCauseConfidence: 95, NoActionReason: reason}, true
}

func healthy(f *facts) investigator.Finding {
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("%s is healthy: %s, and no container fails. The alert is over, or it is about something that pods do not show.", f.title(), f.counts()) + f.evidence(nil),
		RootCauseConfidence: 90,
		NoActionReason:      "Everything is available; a change would only disturb what works.",
		Alternatives: []investigator.Alternative{{Action: "rollout-restart", Confidence: 10,
			RejectedReason: "All replicas are available; a restart would hide a cause that no pod shows."}},
	}
	if w := f.workload; w.Person != "" && w.Pending {
		finding.NoActionReason = "Everything is available, and the rollout waits for a person. " + w.Person
	}
	return finding
}

// healthy is what `kubectl rollout status` calls complete. It refuses OnDelete; there, pods that are available are enough.
func (f *facts) healthy() bool {
	return f.observedGeneration >= f.generation && !f.deadlineExceeded && f.available >= f.desired && f.updated >= f.toUpdate && (f.kind != "Deployment" || f.replicas <= f.updated)
}

// actions are what the workflows that the rules recommend do to the target, where its update strategy matters.
var actions = map[string]string{"increase-memory": "SetResources", "rollout-restart": "RolloutRestart", "restart-pods": "RestartPods"}

// leaveToPerson takes a recommendation back that the update strategy keeps from having an effect.
func (f *facts) leaveToPerson(finding investigator.Finding) investigator.Finding {
	r := finding.Recommendation
	if r == nil {
		return finding
	}
	problem := f.workload.LeftToPerson(actions[r.WorkflowID])
	if problem == "" {
		return finding
	}
	finding.NoActionReason = fmt.Sprintf("What would help is left to a person: %s", problem)
	if r.WorkflowID == "increase-memory" {
		finding.NoActionReason = fmt.Sprintf("To raise the memory limit of container %s to %s is left to a person: %s", r.Parameters["container"], r.Parameters["memoryLimit"], problem)
	}
	finding.Alternatives = append([]investigator.Alternative{{Action: r.WorkflowID, Confidence: r.Confidence, RejectedReason: finding.NoActionReason}}, finding.Alternatives...)
	finding.Recommendation = nil
	return finding
}
