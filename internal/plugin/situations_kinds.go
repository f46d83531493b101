package plugin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// refusal is a condition that says why something is not done.
type refusal struct {
	condition string
	situation situation
	// open begins the sentence while the record is open, ended when it has ended; "": the condition does not outlive the record.
	open, ended string
	command     func(f *facts) string
}

// refused are the conditions of Holdfast's kinds that say that something is not done, the most important first.
var refused = []refusal{
	{v1alpha1.ConditionDecisionRefused, situationDecisionRefused, "The decision on %s does not count: %s", "The decision on %s did not count: %s", (*facts).cancelRequest},
	{v1alpha1.ConditionRemediationRefused, situationRemediationRefused, "%s is not worked on: %s", "%s was not worked on: %s", (*facts).describe},
	{v1alpha1.ConditionAnalysisBlocked, situationAnalysisBlocked, "%s cannot create its analysis, and tries until its timeout: %s", "", (*facts).describe},
	{v1alpha1.ConditionWorkflowBlocked, situationWorkflowBlocked, "%s cannot create its workflow, and tries until its timeout: %s", "", (*facts).describe},
	{v1alpha1.ConditionNotificationBlocked, situationNotificationBlocked, "%s cannot create its notification, and tries until its timeout: %s", "", (*facts).describe},
	{v1alpha1.ConditionForeignChild, situationForeignChild, "%s goes on without a resource that took the name of its child: %s", "", (*facts).treeCommand},
}

func (f *facts) describe() string { return f.kubectl() + " describe " + f.r.named() }

// cancelRequest cancels the request, so that it can be created again. One that has ended is looked at.
func (f *facts) cancelRequest() string {
	name, _ := f.remediation()
	if f.r.closed() {
		return f.verb("tree " + quoted(name) + " -n " + quoted(f.r.Namespace))
	}
	return f.verb("cancel " + quoted(name) + " -n " + quoted(f.r.Namespace))
}

// refusals of a record that is open.
func refusals(f *facts) *explanation {
	if f.r.closed() {
		return nil
	}
	if e := f.coolingDown(); e != nil {
		return e
	}
	return f.refusal(func(r *refusal) string { return r.open })
}

func (f *facts) refusal(begin func(*refusal) string) *explanation {
	for i := range refused {
		r := &refused[i]
		c := f.r.condition(r.condition)
		if !f.ours || c == nil || begin(r) == "" {
			continue
		}
		e := &explanation{Situation: r.situation, Attention: !f.r.closed(), Command: r.command(f)}
		e.Why = fmt.Sprintf(begin(r), f.r.ref(), sentence(strings.TrimPrefix(c.Message, "Retrying until the timeout: "))) + "."
		if c.Reason == "QuotaExceeded" {
			e.Command = f.kubectl() + " describe quota -n " + quoted(f.r.Namespace)
		}
		return e
	}
	return nil
}

// sentence is the message of a condition, which may have several sentences, as a part of one.
func sentence(message string) string {
	parts := strings.Split(strings.TrimSuffix(cell(message), "."), ". ")
	for i := range parts {
		parts[i] = within(parts[i])
	}
	return strings.Join(parts, "; ")
}

// within is a text in the middle of a sentence: its first word has no capital, unless it is the name of a kind.
func within(text string) string {
	word, _, _ := strings.Cut(text, " ")
	if lower := strings.ToLower(word); word != "" && word[1:] == lower[1:] {
		return lower + text[len(word):]
	}
	return text
}

// coolingDown: a request that was not started because of an earlier one, or that is kept after its TTL, as the memory of a repair.
func (f *facts) coolingDown() *explanation {
	c := f.r.condition(v1alpha1.ConditionCoolingDown)
	if f.rr == nil || c == nil {
		return nil
	}
	if c.Reason == "Repaired" {
		return &explanation{Situation: situationCoolingDown, Why: fmt.Sprintf("%s has ended (%s), and is kept because it prevents another repair: %s.", f.r.ref(), cell(f.r.phase), sentence(c.Message)),
			Command: f.kubectl() + " delete " + f.r.named()}
	}
	return &explanation{Situation: situationCoolingDown, Why: fmt.Sprintf("%s was not started: %s.", f.r.ref(), sentence(strings.TrimPrefix(c.Message, "Not started: "))),
		Command: f.verb("list rr -n " + quoted(f.r.Namespace) + " --sort-by age")}
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
	e := &explanation{Situation: situationWaitsForChild, Why: fmt.Sprintf("%s %s, and none of its children is at work.", f.r.ref(), f.inPhase()), Command: f.treeCommand()}
	if f.rr.Spec.Cancel {
		e.Why = fmt.Sprintf("%s was cancelled, and ends when its children have ended.", f.r.ref())
	}
	return e
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
		return &explanation{Situation: situationInvestigationRetries, Why: fmt.Sprintf("%s asks %s again in %s, because attempt %d failed: %s", f.r.ref(), cell(st.Investigation.Investigator),
			in(st.Investigation.NextAttemptTime, f.now), st.Investigation.Attempt, cell(st.Investigation.LastError)), Command: f.managerLogs()}
	case st.Investigation != nil && st.Investigation.CompletedTime == nil:
		return &explanation{Situation: situationInvestigating, Why: fmt.Sprintf("%s has waited %s for the answer of %s (attempt %d)%s.", f.r.ref(), age(st.Investigation.StartedTime.Time, f.now),
			cell(st.Investigation.Investigator), st.Investigation.Attempt, f.investigationDeadline()), Command: f.verb("wait " + f.r.named() + " --for=closed")}
	}
	return nil
}

func (f *facts) investigationDeadline() string {
	if deadline := f.aia.Status.Investigation.DeadlineTime; deadline != nil {
		return ", and gives it up in " + in(deadline, f.now)
	}
	return ""
}

// awaiting: a person has to decide.
func (f *facts) awaiting() *explanation {
	what := "a recommendation"
	if r := f.aia.Status.Recommendation; r != nil {
		what = fmt.Sprintf("%s (confidence %d %%)", r.WorkflowID, r.Confidence)
	}
	command := f.approvers.bind(f.cluster, f.r.Namespace)
	if command == "" {
		command = f.verb("approve " + quoted(f.r.Name) + " -n " + quoted(f.r.Namespace) + " --reason 'checked the evidence'")
	}
	return &explanation{Situation: situationAwaitingApproval, Attention: true,
		Why:     fmt.Sprintf("%s has waited %s for a decision on %s, and expires in %s; %s.", f.r.ref(), age(requestedTime(f.aia), f.now), what, short(max(0, approvalDeadline(f.aia).Sub(f.now))), f.approvers.who()),
		Command: command}
}

func in(t *outboxapi.Time, now time.Time) string {
	return short(max(0, t.Sub(&outboxapi.Time{Time: now})))
}

func (f *facts) workflow() *explanation {
	steps := f.wfe.Status.Steps
	at := slices.IndexFunc(steps, func(s v1alpha1.StepStatus) bool {
		return s.State == v1alpha1.StepRunning || s.State == v1alpha1.StepRollingBack
	})
	if at >= 0 {
		return f.step(&steps[at])
	}
	if f.wfe.Status.Phase != v1alpha1.WorkflowVerifying {
		return nil
	}
	so := ""
	if began := f.wfe.Status.VerifyingTime; began != nil {
		so = ", for " + age(began.Time, f.now) + " so far"
	}
	return &explanation{Situation: situationVerifying, Why: fmt.Sprintf("%s has done its steps, and waits until its post-conditions hold for %s%s.", f.r.ref(), f.target(), so), Command: f.targetCommand()}
}

// step explains the step that is at work.
func (f *facts) step(st *v1alpha1.StepStatus) *explanation {
	what := fmt.Sprintf("step %s (%s)", cell(st.Name), cell(st.Action))
	switch rb := st.Rollback; {
	case st.State == v1alpha1.StepRollingBack && rb != nil && rb.NextAttemptTime != nil:
		return &explanation{Situation: situationStepRollingBack, Why: fmt.Sprintf("%s undoes its %s on %s, and tries again in %s, because attempt %d failed: %s", f.r.ref(), what, f.target(),
			in(rb.NextAttemptTime, f.now), rb.Attempt, cell(rb.Message)), Command: f.targetCommand()}
	case st.State == v1alpha1.StepRollingBack:
		return &explanation{Situation: situationStepRollingBack, Why: fmt.Sprintf("%s undoes its %s on %s.", f.r.ref(), what, f.target()), Command: f.targetCommand()}
	case st.NextAttemptTime != nil:
		return &explanation{Situation: situationStepRetries, Why: fmt.Sprintf("%s starts its %s again in %s, because attempt %d failed: %s", f.r.ref(), what, in(st.NextAttemptTime, f.now), st.Attempt, cell(st.Message)),
			Command: f.targetCommand()}
	}
	return &explanation{Situation: situationStepRunning, Why: fmt.Sprintf("%s has waited %s for %s in its %s.", f.r.ref(), age(st.StartedTime.Time, f.now), f.target(), what), Command: f.targetCommand()}
}

// target is the workload that a workflow changes.
func (f *facts) target() string {
	return cell(f.wfe.Spec.Target.Kind) + " " + cell(f.wfe.Spec.Target.Name)
}

// targetCommand shows how the target is.
func (f *facts) targetCommand() string {
	target := f.wfe.Spec.Target
	named := quoted(strings.ToLower(target.Kind)+"/"+target.Name) + " -n " + quoted(f.r.Namespace)
	if slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, target.Kind) {
		return f.kubectl() + " rollout status " + named + " --watch=false"
	}
	return f.kubectl() + " describe " + named
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
		return &explanation{Situation: situationDeliveryRetries, Why: fmt.Sprintf("%s sends to its channel %d (%s) again in %s, because attempt %d failed: %s", f.r.ref(), i, a.Type, in(a.RetryTime, f.now), a.Attempt, cell(a.Error)),
			Command: f.describe()}
	}
	return nil
}

// ended: the record is whole and durable.
func ended(f *facts) *explanation {
	if !f.r.closed() || f.undrained() {
		return nil
	}
	if e := f.coolingDown(); e != nil {
		return e
	}
	if e := f.refusal(func(r *refusal) string { return r.ended }); e != nil {
		return e
	}
	start := fmt.Sprintf("%s has ended (%s), and all its entries are durable", f.r.ref(), cell(f.r.phase))
	remove := f.kubectl() + " delete " + f.r.named()
	switch {
	case f.rr != nil && f.rr.Spec.TTLAfterFinished != nil && f.rr.Status.CompletedTime != nil:
		left := f.rr.Status.CompletedTime.Add(f.rr.Spec.TTLAfterFinished.Duration).Sub(f.now)
		return &explanation{Situation: situationTTLRunning, Why: fmt.Sprintf("%s; it and its children are deleted in %s.", start, short(max(0, left))), Command: remove}
	case len(f.r.OwnerReferences) > 0:
		owner := controllerOf(f.r)
		return &explanation{Situation: situationKeptByOwner, Why: fmt.Sprintf("%s; it is deleted with its owner, %s %s.", start, outbox.Bound(owner.Kind, 100), outbox.Bound(owner.Name, 300)), Command: f.ownerCommand(owner)}
	}
	return &explanation{Situation: situationEnded, Why: start + "; it stays until somebody deletes it.", Command: remove}
}

func controllerOf(r *resource) metav1.OwnerReference {
	for _, o := range r.OwnerReferences {
		if o.Controller != nil && *o.Controller {
			return o
		}
	}
	return r.OwnerReferences[0]
}

// typeName is a resource type in a command: a kind, and its group. The API server takes any text as the kind of an owner, also one that is a flag of kubectl.
var typeName = regexp.MustCompile(`^[a-z][a-z0-9]{0,62}(\.[a-z0-9][a-z0-9.-]{0,252})?$`)

// objectName is a name in a command.
var objectName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.:@_-]{0,252}$`)

// ownerCommand shows the owner. Whoever created the resource chose it: what is no type, or no name, is in no command.
func (f *facts) ownerCommand(owner metav1.OwnerReference) string {
	kindName := strings.ToLower(owner.Kind)
	if group, _, ok := strings.Cut(owner.APIVersion, "/"); ok {
		kindName += "." + group
	}
	if !typeName.MatchString(kindName) || !objectName.MatchString(owner.Name) {
		return f.describe()
	}
	return f.kubectl() + " get " + quoted(kindName+"/"+owner.Name) + " -n " + quoted(f.r.Namespace)
}
