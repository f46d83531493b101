package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// obstacle is what keeps a pod from getting a node.
type obstacle string

const (
	gated        obstacle = "gated"
	unboundClaim obstacle = "claim"
	noRoom       obstacle = "room"
	noMatch      obstacle = "match"
	unknown      obstacle = "unknown"
)

// The scheduler's words, in its order of filters. They are not an API, so what matches nothing is unknown, for which nothing is recommended.
var (
	claimWords = []string{"persistentvolumeclaim", "available persistent volumes to bind", "PersistentVolumeClaims"}
	roomWords  = []string{"Insufficient ", "Too many pods"}
	matchWords = []string{"affinity", "node selector", "topology spread", "were unschedulable", "free ports", "available volume zone", "max volume count", "[NodeAffinity]"}
	// taintWords may be beside a lack of room, since most clusters have nodes that are for others.
	taintWords = []string{"untolerated taint", "had taint"}
)

// obstacleOf reads the scheduler's message.
func (f *facts) obstacleOf(p *pod) obstacle {
	message := p.unschedulable
	if before, _, found := strings.Cut(message, "preemption:"); found {
		message = before
	}
	says := func(word string) bool { return strings.Contains(message, word) }
	switch {
	case len(p.gates) > 0:
		return gated
	case slices.ContainsFunc(claimWords, says):
		return unboundClaim
	case f.kind == "DaemonSet" && slices.ContainsFunc(roomWords, says): // each of its pods is for one node and fits no other
		return noRoom
	case slices.ContainsFunc(matchWords, says):
		return noMatch
	case slices.ContainsFunc(roomWords, says):
		return noRoom
	case slices.ContainsFunc(taintWords, says):
		return noMatch
	}
	return unknown
}

// notScheduled is for pods without a node.
func notScheduled(f *facts, now time.Time) (investigator.Finding, bool) {
	all := f.podHits(func(p *pod) bool { return p.unschedulable != "" || len(p.gates) > 0 })
	if len(all) == 0 {
		return investigator.Finding{}, false
	}
	waiting, _ := f.focus(all, func(h hit) string { return string(f.obstacleOf(h.pod)) })
	p := waiting[0].pod
	finding := investigator.Finding{
		RootCauseConfidence: 90,
		Alternatives: []investigator.Alternative{
			{Action: "restart-pods", Confidence: 5, RejectedReason: "New pods would wait for the same."},
			{Action: "scale", Confidence: 5, RejectedReason: "The pods do not wait for room, or not only, so fewer of them may wait as well."},
		},
	}
	var cause, reason string
	switch f.obstacleOf(p) {
	case gated:
		cause, reason = "are kept from the scheduler by gates ("+strings.Join(p.gates, ", ")+")", "Whoever set the gates takes them off when the pod may be scheduled. No workflow does."
	case unboundClaim:
		cause, reason = "need a volume that is not there yet: a claim is not bound, or does not exist", "No workflow binds a claim. Look at the PersistentVolumeClaim, its storage class, and what provisions it."
	case noMatch:
		cause, reason = "fit no node by their node selector, affinity, tolerations, ports or volumes, or the nodes take no pods", "No workflow changes where pods may run. Correct the template, or the labels and taints of the nodes."
	case noRoom:
		return f.noRoom(finding, waiting, all, now), true
	default:
		finding.RootCauseConfidence = 60
		cause, reason = "get no node", "The rules do not know what the scheduler says, so they cannot tell what would help."
	}
	finding.RootCause = f.waitingText(waiting, cause)
	if b, ok := f.blameScheduling(all, now); ok && f.obstacleOf(p) == noMatch {
		return f.undoScheduling(finding, b), true
	}
	finding.NoActionReason = reason
	if text := f.undoByHand(all); text != "" && f.obstacleOf(p) == noMatch {
		finding.NoActionReason = text
	}
	finding.Alternatives = append(finding.Alternatives, f.noUndoScheduling(all, now))
	return finding, true
}

func (f *facts) waitingText(waiting []hit, cause string) string {
	return fmt.Sprintf("%d of %d pods of %s %s.", len(waiting), len(f.pods), f.title(), cause) + f.evidence(waiting)
}

// noRoom is for pods that would fit a node that had more left.
func (f *facts) noRoom(finding investigator.Finding, waiting, all []hit, now time.Time) investigator.Finding {
	finding.RootCause = f.waitingText(waiting, "find no node with enough room")
	finding.Alternatives = []investigator.Alternative{
		{Action: "restart-pods", Confidence: 5, RejectedReason: "New pods would find the same nodes."},
		{Action: "add nodes", Confidence: 60, RejectedReason: "No workflow of the catalogue does that; a person or an autoscaler has to."},
	}
	if b, ok := f.blameScheduling(all, now); ok {
		return f.undoScheduling(finding, b)
	}
	finding.Alternatives = append(finding.Alternatives, f.noUndoScheduling(all, now))
	replicas := f.fitting(all)
	switch {
	case f.kind == "DaemonSet":
		finding.NoActionReason = "A DaemonSet has one pod on each node; there are no replicas to take away."
	case f.truncated:
		finding.NoActionReason = "Not all pods were read, so it is not known how many have room."
	case f.olderServes():
		finding.NoActionReason = "A rollout is under way, and its new pods wait for room. Fewer replicas would take pods away that serve. Make room; the rollout goes on by itself."
	case len(waiting) < len(all):
		finding.NoActionReason = "Other pods wait for something else than room. See to that first."
	case replicas <= 0:
		finding.NoActionReason = "Not even one replica fits, so fewer of them would not help. Make room, or lower what the pods request."
	case replicas >= f.desired:
		finding.NoActionReason = "As many pods as are wanted have a node; the others go by themselves."
	default:
		finding.Recommendation = &investigator.Recommendation{WorkflowID: "scale", Parameters: map[string]string{"replicas": strconv.Itoa(int(replicas))}, Confidence: 70,
			Rationale: fmt.Sprintf("%d of %d pods have a node. With replicas=%d instead of %d the pods that wait go away, those that run stay, and nothing waits any more. What is lost is capacity: "+
				"a person has to scale up again when there is room, and an autoscaler of the target would set the number again. So a person may want to decide.", len(f.pods)-len(all), len(f.pods), replicas, f.desired)}
		return finding
	}
	finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "scale", Confidence: 20, RejectedReason: finding.NoActionReason})
	return finding
}

// fitting is how many replicas have a node. A StatefulSet takes the highest ordinals away first, so there all below the lowest one that waits.
func (f *facts) fitting(waiting []hit) int32 {
	fit := int32(len(f.pods) - len(waiting))
	if f.kind != "StatefulSet" {
		return fit
	}
	for _, h := range waiting {
		_, text, _ := strings.Cut(h.pod.name, f.name+"-")
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return 0
		}
		fit = min(fit, int32(n))
	}
	return fit
}

// blameScheduling reports whether the newest rollout changed where its pods may run or what they ask for, while pods of the revision before serve.
func (f *facts) blameScheduling(waiting []hit, now time.Time) (blame, bool) {
	b, ok := f.blameRollout(waiting, now, asksElse)
	return b, ok && b.goodRuns
}

func asksElse(newest, good revision) bool {
	return !reflect.DeepEqual(askedOf(newest.template.Spec), askedOf(good.template.Spec))
}

func (f *facts) noUndoScheduling(waiting []hit, now time.Time) investigator.Alternative {
	a := f.noUndo(20)
	b, ok := f.blameRollout(waiting, now, anything)
	switch {
	case ok && !asksElse(b.newest, b.good):
		a.RejectedReason = fmt.Sprintf("Revision %d asks the scheduler for the same.", b.good.number)
	case ok && !b.goodRuns:
		a.RejectedReason = b.nobodyServes()
	}
	return a
}

func (f *facts) undoScheduling(finding investigator.Finding, b blame) investigator.Finding {
	finding.RootCause += fmt.Sprintf("\nThe rollout of revision %d changed where the pods may run, or what they ask for.", b.newest.number)
	finding.Recommendation = b.undo(80, "What the scheduler is asked for changed")
	finding.Alternatives = slices.DeleteFunc(finding.Alternatives, func(a investigator.Alternative) bool { return a.Action == "scale" })
	finding.Alternatives = append(finding.Alternatives, investigator.Alternative{Action: "scale", Confidence: 10, RejectedReason: "It would take pods away that serve; the new ones would wait all the same."})
	return finding
}

// askedOf is the part of a pod's spec that the scheduler looks at.
func askedOf(s corev1.PodSpec) corev1.PodSpec {
	asked := corev1.PodSpec{NodeSelector: s.NodeSelector, NodeName: s.NodeName, Affinity: s.Affinity, Tolerations: s.Tolerations, TopologySpreadConstraints: s.TopologySpreadConstraints,
		SchedulerName: s.SchedulerName, PriorityClassName: s.PriorityClassName, RuntimeClassName: s.RuntimeClassName, HostNetwork: s.HostNetwork, Resources: s.Resources, ResourceClaims: s.ResourceClaims}
	for _, v := range s.Volumes {
		if v.PersistentVolumeClaim != nil || v.Ephemeral != nil {
			asked.Volumes = append(asked.Volumes, v)
		}
	}
	asked.Containers = requestsOf(s.Containers)
	asked.InitContainers = requestsOf(s.InitContainers)
	return asked
}

func requestsOf(all []corev1.Container) []corev1.Container {
	var asked []corev1.Container
	for _, c := range all {
		asked = append(asked, corev1.Container{Ports: c.Ports, Resources: c.Resources, RestartPolicy: c.RestartPolicy})
	}
	return asked
}
