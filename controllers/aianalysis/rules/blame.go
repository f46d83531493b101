package rules

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// hit is a container that fails, or a pod without one.
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

// podHits are the pods that match.
func (f *facts) podHits(match func(*pod) bool) []hit {
	var found []hit
	for i := range f.pods {
		if match(&f.pods[i]) {
			found = append(found, hit{pod: &f.pods[i]})
		}
	}
	return found
}

// focus picks the failure to speak of: the one, by its key, that the most pods show. Pods of the newest template come first, and containers that the template has: it is
// those that a workflow can change. others are all that is not of that key.
func (f *facts) focus(hits []hit, key func(hit) string) (chosen, others []hit) {
	candidates := preferred(preferred(hits, func(h hit) bool { return f.ofNewest(h.pod) }), func(h hit) bool { return !f.foreign(h) })
	pods := map[string]int{}
	best := ""
	for _, h := range candidates {
		k := key(h)
		if pods[k]++; pods[k] > pods[best] {
			best = k
		}
	}
	for _, h := range hits {
		if key(h) == best {
			chosen = append(chosen, h)
		} else {
			others = append(others, h)
		}
	}
	return chosen, others
}

// preferred are the hits that match, or all if none does.
func preferred(hits []hit, match func(hit) bool) []hit {
	var some []hit
	for _, h := range hits {
		if match(h) {
			some = append(some, h)
		}
	}
	if len(some) == 0 {
		return hits
	}
	return some
}

// foreign reports whether the target's template does not have the container.
func (f *facts) foreign(h hit) bool {
	if h.container == nil {
		return false
	}
	_, there := h.container.in(&f.workload.Template)
	return !there
}

// byContainer is the key of focus where the container is what fails.
func byContainer(h hit) string { return fmt.Sprint(h.container.init, "/", h.container.name) }

func podsOf(hits []hit) int {
	names := map[string]bool{}
	for _, h := range hits {
		names[h.pod.name] = true
	}
	return len(names)
}

// rolloutAge is until when after its end a rollout is taken as the cause of what fails.
const rolloutAge = 24 * time.Hour

// blame is what a rollout has to do with what fails.
type blame struct {
	newest, good revision
	// goodRuns: pods of the good revision are ready. earlierFail: pods of a revision before the newest fail as well.
	goodRuns, earlierFail bool
}

// blameRollout reports whether the newest rollout explains the hits: pods of the newest revision fail, there is an earlier revision none of whose pods
// does and that differs in what matters, and the rollout was not over long ago. A container that the newest template does not have came with no rollout.
func (f *facts) blameRollout(hits []hit, now time.Time, differs func(newest, good revision) bool) (blame, bool) {
	newest, ok := f.newest()
	if !ok || !f.rolledOut.IsZero() && now.Sub(f.rolledOut) > rolloutAge {
		return blame{}, false
	}
	failing := func(r revision) bool {
		return slices.ContainsFunc(hits, func(h hit) bool { return h.pod.owner == r.uid && (r.uid != newest.uid || !f.foreign(h)) })
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
		if sameTemplate(newest, r) || !differs(newest, r) {
			continue
		}
		b.good = r
		b.goodRuns = slices.ContainsFunc(f.pods, func(p pod) bool { return p.owner == r.uid && p.ready })
		return b, true
	}
	return blame{}, false
}

// anything is what differs between two revisions when it is not known what matters.
func anything(_, _ revision) bool { return true }

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

// undo recommends to go back to the good revision.
func (b blame) undo(confidence int32, what string) *investigator.Recommendation {
	return &investigator.Recommendation{
		WorkflowID: "rollout-undo",
		Parameters: map[string]string{"toRevision": strconv.FormatInt(b.good.number, 10)},
		Confidence: min(b.adjust(confidence), 97),
		Rationale:  b.rationale(what),
	}
}

// nobodyServes is why a revision without pods is not gone back to where only those could show that it is better.
func (b blame) nobodyServes() string {
	return fmt.Sprintf("No pod of revision %d serves, so nothing shows that it would do better.", b.good.number)
}

// noUndo is why going back is not what helps.
func (f *facts) noUndo(confidence int32) investigator.Alternative {
	a := investigator.Alternative{Action: "rollout-undo", Confidence: confidence}
	_, numbered := f.newest()
	_, earlier := f.previous()
	switch {
	case f.kind != "Deployment":
		a.RejectedReason = fmt.Sprintf("The workflow undoes rollouts of Deployments only, not of a %s.", f.kind)
	case !numbered:
		a.RejectedReason = "The newest revision is not among those that were read."
	case !earlier:
		a.RejectedReason = "There is no earlier revision with another template to go back to."
	default:
		a.RejectedReason = "The rollout was over more than a day ago, or what fails did not begin with it."
	}
	return a
}

// undoByHand says how to go back where no workflow does, when pods of the newest template fail and older ones serve; or nothing.
func (f *facts) undoByHand(hits []hit) string {
	if f.kind == "Deployment" || !f.olderServes() || slices.ContainsFunc(hits, func(h hit) bool { return !f.ofNewest(h.pod) }) {
		return ""
	}
	text := fmt.Sprintf("It began with a rollout, which no workflow undoes on a %s. Go back with kubectl rollout undo.", f.kind)
	if f.kind == "StatefulSet" {
		text += " Then delete the pods that fail: the controller waits for them to become ready before it replaces them."
	}
	return text
}
