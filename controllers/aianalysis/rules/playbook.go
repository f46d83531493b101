package rules

import (
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// rule examines the facts. ok reports whether it has a finding.
type rule func(f *facts, now time.Time) (finding investigator.Finding, ok bool)

// playbook lists the rules in order. The first one with a finding decides.
var playbook = []rule{nothingToInvestigate, outOfMemory, cannotPull, crashes, noRoom, notReady}

// diagnose is pure.
func diagnose(f *facts, now time.Time) investigator.Finding {
	for _, r := range playbook {
		if finding, ok := r(f, now); ok {
			return finding
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
	return investigator.Finding{
		RootCause:           fmt.Sprintf("%s is healthy: %s, and no container fails. The alert is over, or it is about something that pods do not show.", f.title(), f.counts()) + f.evidence(nil),
		RootCauseConfidence: 90,
		NoActionReason:      "Everything is available; a change would only disturb what works.",
		Alternatives: []investigator.Alternative{{Action: "rollout-restart", Confidence: 10,
			RejectedReason: "All replicas are available and up to date; a restart would hide a cause that no pod shows."}},
	}
}

func (f *facts) healthy() bool {
	return f.observedGeneration >= f.generation && f.available >= f.desired && f.updated >= f.desired && !f.deadlineExceeded
}

// hit is a container that fails.
type hit struct {
	pod       *pod
	container *container
}

// hits are the containers that match.
func (f *facts) hits(match func(*pod, *container) bool) []hit {
	var found []hit
	for i := range f.pods {
		p := &f.pods[i]
		for j := range p.containers {
			if match(p, &p.containers[j]) {
				found = append(found, hit{p, &p.containers[j]})
			}
		}
	}
	return found
}

func podsOf(hits []hit) int {
	names := map[string]bool{}
	for _, h := range hits {
		names[h.pod.name] = true
	}
	return len(names)
}

// rolloutAge is until when after its end a rollout is taken as the cause of what fails.
const rolloutAge = 24 * time.Hour

// blame is what a rollout has to do with failing containers.
type blame struct {
	newest, good revision
	// goodRuns: pods of the good revision are ready. earlierFail: pods of a revision before the newest fail as well.
	goodRuns, earlierFail bool
}

// blameRollout reports whether the newest rollout explains the hits: pods of the newest revision fail, there is an earlier revision none of whose pods
// does and that differs in what matters, and the rollout was not over long ago.
func (f *facts) blameRollout(hits []hit, now time.Time, differs func(newest, good revision) bool) (blame, bool) {
	newest, ok := f.newest()
	if !ok || !f.rolledOut.IsZero() && now.Sub(f.rolledOut) > rolloutAge {
		return blame{}, false
	}
	failing := func(r revision) bool {
		return slices.ContainsFunc(hits, func(h hit) bool { return h.pod.owner == r.uid })
	}
	if !failing(newest) {
		return blame{}, false
	}
	b := blame{newest: newest}
	for _, r := range f.revisions[1:] {
		if failing(r) {
			b.earlierFail = true
			continue
		}
		if !differs(newest, r) {
			continue
		}
		b.good = r
		b.goodRuns = slices.ContainsFunc(f.pods, func(p pod) bool { return p.owner == r.uid && p.ready })
		return b, true
	}
	return blame{}, false
}

// adjust is how the blame changes a confidence.
func (b blame) adjust(confidence int32) int32 {
	if b.earlierFail {
		confidence -= 20
	}
	if b.goodRuns {
		confidence += 5
	}
	return confidence
}

func (b blame) rationale(what string) string {
	text := fmt.Sprintf("%s with revision %d. Revision %d is the newest one without such failures, so going back to it takes away what changed.", what, b.newest.number, b.good.number)
	if b.goodRuns {
		text += " Its pods still run and are ready."
	}
	if b.earlierFail {
		text += " Pods of revisions between the two fail as well, which makes it less certain that the rollout is the cause."
	}
	return text
}
