package rules

import (
	"fmt"
	"strconv"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// noRoom is for pods that the scheduler finds no node for.
func noRoom(f *facts, _ time.Time) (investigator.Finding, bool) {
	var waiting []hit
	for i := range f.pods {
		if f.pods[i].unschedulable != "" {
			waiting = append(waiting, hit{pod: &f.pods[i]})
		}
	}
	if len(waiting) == 0 {
		return investigator.Finding{}, false
	}
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("No node has room for %d of %d pods of %s.", len(waiting), len(f.pods), f.title()) + f.evidence(waiting),
		RootCauseConfidence: 90,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 5, RejectedReason: "New pods would find the same nodes."},
			{Action: "add nodes", Confidence: 60, RejectedReason: "No workflow of the catalogue does that; a person or an autoscaler has to."},
		},
	}
	replicas := max(1, f.desired-int32(len(waiting)))
	switch {
	case f.kind == "DaemonSet":
		finding.NoActionReason = "A DaemonSet has one pod on each node; there are no replicas to take away."
	case replicas >= f.desired, len(waiting) == len(f.pods):
		finding.NoActionReason = "Not even one replica fits, so fewer of them would not help. Make room, or lower what the pods request."
	default:
		finding.Recommendation = &investigator.Recommendation{WorkflowID: "scale", Parameters: map[string]string{"replicas": strconv.Itoa(int(replicas))}, Confidence: 70,
			Rationale: fmt.Sprintf("%d of %d pods have room. With %d replicas instead of %d the rollout ends and nothing waits; what is lost is capacity, so a person may want to decide.", len(f.pods)-len(waiting), len(f.pods), replicas, f.desired)}
	}
	return finding, true
}

// startUp is how long a pod may take until it counts as stuck rather than starting.
const startUp = 2 * time.Minute

// notReady is for what is not as it should be although no container fails: a rollout that does not get on, pods that don't get ready, pods that cannot be made.
func notReady(f *facts, now time.Time) (investigator.Finding, bool) {
	if f.healthy() {
		return investigator.Finding{}, false
	}
	finding := investigator.Finding{
		RootCause:           fmt.Sprintf("%s does not become ready: %s, and no container fails.", f.title(), f.counts()) + f.evidence(f.unready()),
		RootCauseConfidence: 60,
	}
	switch {
	case f.createFailure != "":
		finding.RootCause += "\nPods cannot be made: " + investigator.Clean(f.createFailure, 500)
		finding.RootCauseConfidence = 90
		finding.NoActionReason = "No workflow makes room in a quota or satisfies an admission policy; the message says what is in the way."
		return finding, true
	case f.observedGeneration < f.generation && !f.deadlineExceeded:
		finding.RootCause += "\nIts controller has not seen the newest spec yet."
		finding.NoActionReason = "A change is under way; what it leads to is not known yet."
		return finding, true
	}
	confidence := int32(50)
	if f.deadlineExceeded {
		confidence = 65
		finding.RootCause += "\nThe rollout is stuck: " + investigator.Clean(f.stuck, 500)
	} else if f.youngest(now) < startUp {
		finding.RootCause += "\nSome pods are younger than two minutes; they may just be starting."
	}
	finding.Recommendation = &investigator.Recommendation{WorkflowID: "rollout-restart", Confidence: confidence,
		Rationale: "No container crashes and none waits for its image, so the pods may hang; new pods of the same template start afresh, one after the other, and nothing else changes."}
	finding.Alternatives = []investigator.Alternative{
		{Action: "restart-pods", Confidence: confidence - 10, RejectedReason: "It takes all pods away at once; a rolling restart keeps those that serve."},
		{Action: "rollout-undo", Confidence: 30, RejectedReason: "Nothing shows that the newest template is at fault: its containers run."},
		{Action: "scale", Confidence: 10, RejectedReason: "Every pod has a node."},
	}
	return finding, true
}

func (f *facts) unready() []hit {
	var found []hit
	for i := range f.pods {
		if !f.pods[i].ready {
			found = append(found, hit{pod: &f.pods[i]})
		}
	}
	return found
}

// youngest is the age of the youngest pod.
func (f *facts) youngest(now time.Time) time.Duration {
	age := time.Duration(1<<63 - 1)
	for i := range f.pods {
		age = min(age, now.Sub(f.pods[i].created))
	}
	return age
}
