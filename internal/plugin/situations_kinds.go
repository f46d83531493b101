package plugin

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// refusal is a condition that says why work is not done.
type refusal struct {
	condition, situation, begin string
	command                     func(f *facts) string
}

// refused are the conditions of Holdfast's kinds that say that something is not done, the most important first.
var refused = []refusal{
	{v1alpha1.ConditionDecisionRefused, "DecisionRefused", "The decision on %s does not count: %s", (*facts).cancelRequest},
	{v1alpha1.ConditionRemediationRefused, "RemediationRefused", "%s is not worked on: %s", (*facts).describe},
	{v1alpha1.ConditionCoolingDown, "CoolingDown", "%s was not started: %s", (*facts).describe},
	{v1alpha1.ConditionAnalysisBlocked, "AnalysisBlocked", "The analysis of %s cannot be created: %s", (*facts).describe},
	{v1alpha1.ConditionWorkflowBlocked, "WorkflowBlocked", "The workflow of %s cannot be created: %s", (*facts).describe},
	{v1alpha1.ConditionNotificationBlocked, "NotificationBlocked", "The notification of %s cannot be created: %s", (*facts).describe},
	{v1alpha1.ConditionForeignChild, "ForeignChild", "A child of %s has a name that somebody else took: %s", (*facts).describe},
}

func (f *facts) describe() string { return f.kubectl() + " describe " + f.r.named() }

// cancelRequest cancels the request, so that it can be created again.
func (f *facts) cancelRequest() string {
	name, _ := f.remediation()
	return f.verb("cancel " + quoted(name) + " -n " + quoted(f.r.Namespace))
}

func refusals(f *facts) *explanation {
	if f.r.closed() {
		return nil
	}
	for _, r := range refused {
		if c := f.r.condition(r.condition); f.ours && c != nil {
			return &explanation{Situation: r.situation, Attention: true, Why: strings.TrimSuffix(fmt.Sprintf(r.begin, f.r.ref(), c.Message), ".") + ".", Command: r.command(f)}
		}
	}
	return nil
}

// workOfKind is what the kind's own controller waits for.
func workOfKind(f *facts) *explanation {
	switch {
	case f.r.closed():
		return nil
	case f.rr != nil:
		return f.request()
	case f.aia != nil:
		return f.analysis()
	case f.wfe != nil:
		return f.workflow()
	case f.nr != nil:
		return f.notification()
	}
	return nil
}

// request: it waits for a child, which explain looks at next.
func (f *facts) request() *explanation {
	if f.rr.Spec.Cancel {
		return &explanation{Situation: "WaitsForChild", Why: fmt.Sprintf("%s was cancelled and waits until its children have ended.", f.r.ref()), Command: f.treeCommand()}
	}
	return &explanation{Situation: "WaitsForChild", Why: fmt.Sprintf("%s is in the phase %s.", f.r.ref(), cell(f.r.phase)), Command: f.treeCommand()}
}

func (f *facts) treeCommand() string {
	return f.verb("tree " + quoted(f.r.Name) + " -n " + quoted(f.r.Namespace))
}

func (f *facts) analysis() *explanation {
	st := &f.aia.Status
	switch {
	case st.Phase == v1alpha1.AnalysisAwaitingApproval && f.aia.Spec.Decision == nil:
		return f.awaiting()
	case st.Investigation != nil && st.Investigation.NextAttemptTime != nil:
		return &explanation{Situation: "InvestigationRetries", Why: fmt.Sprintf("%s asks %s again in %s; attempt %d failed: %s", f.r.ref(), st.Investigation.Investigator,
			in(st.Investigation.NextAttemptTime, f.now), st.Investigation.Attempt, cell(st.Investigation.LastError)), Command: f.inSystem() + " logs -l app.kubernetes.io/component=manager --tail=50"}
	case st.Investigation != nil && st.Investigation.CompletedTime == nil:
		return &explanation{Situation: "Investigating", Why: fmt.Sprintf("%s waits for the answer of %s, for %s so far.", f.r.ref(), st.Investigation.Investigator,
			age(st.Investigation.StartedTime.Time, f.now)), Command: f.verb("wait " + f.r.named() + " --for=closed")}
	}
	return nil
}

// awaiting: a person has to decide.
func (f *facts) awaiting() *explanation {
	who := "nobody is bound to the role " + approverRole + " in this namespace"
	if len(f.approvers) > 0 {
		who = orList(f.approvers) + " may decide"
	}
	what := "a recommendation"
	if r := f.aia.Status.Recommendation; r != nil {
		what = fmt.Sprintf("%s (confidence %d %%)", r.WorkflowID, r.Confidence)
	}
	return &explanation{Situation: "AwaitingApproval", Attention: true,
		Why:     fmt.Sprintf("%s has waited %s for a decision on %s, and expires in %s; %s.", f.r.ref(), age(requestedTime(f.aia), f.now), what, short(max(0, approvalDeadline(f.aia).Sub(f.now))), who),
		Command: f.verb("approve " + quoted(f.r.Name) + " -n " + quoted(f.r.Namespace) + " --reason 'checked the evidence'")}
}

func in(t *outboxapi.Time, now time.Time) string {
	return short(max(0, t.Sub(&outboxapi.Time{Time: now})))
}

func (f *facts) workflow() *explanation {
	steps := f.wfe.Status.Steps
	at := slices.IndexFunc(steps, func(s v1alpha1.StepStatus) bool {
		return s.State == v1alpha1.StepRunning || s.State == v1alpha1.StepRollingBack
	})
	target := f.wfe.Spec.Target
	watch := f.kubectl() + " -n " + quoted(f.r.Namespace) + " describe " + quoted(strings.ToLower(target.Kind)+"/"+target.Name)
	if slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, target.Kind) {
		watch = f.kubectl() + " -n " + quoted(f.r.Namespace) + " rollout status " + quoted(strings.ToLower(target.Kind)+"/"+target.Name) + " --watch=false"
	}
	switch {
	case at >= 0 && steps[at].NextAttemptTime != nil:
		return &explanation{Situation: "StepRetries", Why: fmt.Sprintf("The step %s (%s) of %s failed and starts again in %s: %s", steps[at].Name, steps[at].Action, f.r.ref(),
			in(steps[at].NextAttemptTime, f.now), cell(steps[at].Message)), Command: watch}
	case at >= 0 && steps[at].State == v1alpha1.StepRollingBack:
		return &explanation{Situation: "StepRollingBack", Why: fmt.Sprintf("%s undoes the step %s (%s) on %s %s.", f.r.ref(), steps[at].Name, steps[at].Action, target.Kind, target.Name), Command: watch}
	case at >= 0:
		return &explanation{Situation: "StepRunning", Why: fmt.Sprintf("The step %s (%s) of %s waits for %s %s, for %s so far.", steps[at].Name, steps[at].Action, f.r.ref(), target.Kind, target.Name,
			age(steps[at].StartedTime.Time, f.now)), Command: watch}
	case f.wfe.Status.Phase == v1alpha1.WorkflowVerifying:
		return &explanation{Situation: "Verifying", Why: fmt.Sprintf("%s waits until its post-conditions hold for %s %s.", f.r.ref(), target.Kind, target.Name), Command: watch}
	}
	return nil
}

func (f *facts) notification() *explanation {
	if f.nr.Status.Phase != v1alpha1.NotificationRetrying {
		return nil
	}
	last := map[int32]*v1alpha1.DeliveryAttempt{}
	for i := range f.nr.Status.Attempts {
		a := &f.nr.Status.Attempts[i]
		last[a.Channel] = a
	}
	for i := range f.nr.Spec.Channels {
		a := last[int32(i)]
		if a == nil || a.RetryTime == nil {
			continue
		}
		return &explanation{Situation: "DeliveryRetries", Why: fmt.Sprintf("%s sends to its channel %d (%s) again in %s; attempt %d failed: %s", f.r.ref(), i, a.Type, in(a.RetryTime, f.now), a.Attempt, cell(a.Error)),
			Command: f.describe()}
	}
	return nil
}

// ended: the record is whole and durable.
func ended(f *facts) *explanation {
	if !f.r.closed() || f.undrained() {
		return nil
	}
	start := fmt.Sprintf("%s has ended (%s), and all its entries are durable", f.r.ref(), cell(f.r.phase))
	remove := f.kubectl() + " delete " + f.r.named()
	switch {
	case f.rr != nil && f.rr.Spec.TTLAfterFinished != nil && f.rr.Status.CompletedTime != nil:
		left := f.rr.Status.CompletedTime.Add(f.rr.Spec.TTLAfterFinished.Duration).Sub(f.now)
		return &explanation{Situation: "TTLRunning", Why: fmt.Sprintf("%s; it and its children are deleted in %s.", start, short(max(0, left))), Command: remove}
	case len(f.r.OwnerReferences) > 0:
		owner := controllerOf(f.r)
		return &explanation{Situation: "KeptByOwner", Why: fmt.Sprintf("%s; it is deleted with its owner, %s %s.", start, owner.Kind, owner.Name), Command: f.ownerCommand(owner)}
	}
	return &explanation{Situation: "Ended", Why: start + "; it stays until somebody deletes it.", Command: remove}
}

func controllerOf(r *resource) metav1.OwnerReference {
	for _, o := range r.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			return o
		}
	}
	return r.OwnerReferences[0]
}

func (f *facts) ownerCommand(owner metav1.OwnerReference) string {
	return f.kubectl() + " get " + quoted(strings.ToLower(owner.Kind)+"/"+owner.Name) + " -n " + quoted(f.r.Namespace)
}
