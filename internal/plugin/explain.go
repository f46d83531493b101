package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// explanation is the result of explain.
type explanation struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Situation is a name for programs, docs/kubectl.md lists them.
	Situation situation `json:"situation"`
	// Why is one sentence.
	Why string `json:"why"`
	// Command moves the resource on, or shows more where only somebody else can.
	Command string `json:"command,omitempty"`
	// Attention: it does not go on by itself.
	Attention bool `json:"attention"`
	// Through is the child that a request waits for, as KIND/NAME.
	Through string   `json:"through,omitempty"`
	Unread  []unread `json:"unread,omitempty"`
}

func (e *explanation) text(p *page) {
	p.line("%s", e.Why)
	if e.Command != "" {
		p.line("  %s", e.Command)
	}
	for _, u := range e.Unread {
		p.line("Could not read %s: %s", u.What, u.Reason)
	}
}

func newExplainCommand(c *cluster) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "explain KIND/NAME",
		Short: "Say why a resource is where it is, and which command moves it on",
		Long: `Say in one sentence why a resource is where it is, and which command moves it on.

Exit status: 0 it goes on by itself or has ended, 1 somebody has to do something, 2 the resource could
not be read.`,
		Example: `  kubectl holdfast explain rr/cart-crash -n shop
  kubectl holdfast explain backup/settings -o json | jq -r .command`,
		Args:              oneResource("KIND/NAME, as in rr/cart-crash"),
		ValidArgsFunction: c.completeResources,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			r, err := c.get(cmd.Context(), args)
			if err != nil {
				return err
			}
			e, err := c.explain(cmd.Context(), r)
			if err != nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, e), found(e.Attention))
		},
	}
	out.addFlags(cmd)
	return cmd
}

// facts are what an explanation is made of. Decisions are functions of them.
type facts struct {
	*cluster
	now time.Time
	r   *resource
	// One of these is there for one of Holdfast's own kinds.
	rr  *v1alpha1.RemediationRequest
	aia *v1alpha1.AIAnalysis
	wfe *v1alpha1.WorkflowExecution
	nr  *v1alpha1.NotificationRequest

	pending []pendingEntry
	// ours: Holdfast's managers look after it, so managers, store and shard say something about it.
	ours     bool
	attended bool
	shard    string
	managers []manager
	store    storeState
	// letter is the newest Event about a dead letter of the resource.
	letter string
	// children of a request; dependents are what blocks a deletion in the foreground.
	children   []*resource
	dependents []*resource
	approvers  *approvers
	unread     []unread
}

// explain gathers facts and decides.
func (c *cluster) explain(ctx context.Context, r *resource) (*explanation, error) {
	f, err := c.gather(ctx, r)
	if err != nil {
		return nil, err
	}
	e := f.decide()
	if f.rr != nil && !r.closed() && slices.Contains([]situation{situationWaitsForChild, situationOpenRecord, situationForeignChild, situationNotificationBlocked}, e.Situation) {
		// A foreign child is ignored, and a message that cannot be made delays no decision. So they matter less than a child that waits for somebody.
		beside := e.Situation == situationForeignChild || e.Situation == situationNotificationBlocked
		if inner := c.explainChild(ctx, f); inner != nil && (inner.Attention || !beside) {
			e = inner
		}
	}
	if !strings.HasSuffix(e.Why, ".") {
		e.Why += "." // it ends with what somebody else said
	}
	e.Kind, e.Namespace, e.Name, e.Unread = r.kind.Kind, r.Namespace, r.Name, f.unread
	return e, nil
}

// childNouns are what a child is to its request.
var childNouns = map[string]string{analyses: "analysis", workflows: "workflow", notifications: "notification"}

// explainChild explains the child that a request waits for.
func (c *cluster) explainChild(ctx context.Context, f *facts) *explanation {
	for _, one := range f.children {
		if one.closed() || !ownedBy(one, f.r) {
			continue
		}
		live, err := c.read(ctx, one.kind, one.Namespace, one.Name)
		if err != nil {
			return nil
		}
		inner, err := c.explain(ctx, live)
		if err != nil {
			return nil
		}
		inner.Through = one.ref()
		inner.Why = fmt.Sprintf("%s waits for its %s: %s", f.r.Name, childNouns[one.kind.Resource], within(inner.Why))
		return inner
	}
	return nil
}

// may reads a part. What is forbidden or away is named, and is no reason to say nothing.
func (f *facts) may(what string, err error) {
	if err != nil {
		f.unread = append(f.unread, unread{what, reasonOf(err)})
	}
}

func (c *cluster) gather(ctx context.Context, r *resource) (*facts, error) {
	f := &facts{cluster: c, now: time.Now(), r: r, pending: decodeOutbox(r).Entries, attended: true, store: storeState{Breaker: breakerUnknown}}
	if err := f.decode(); err != nil {
		return nil, err
	}
	var err error
	if f.ours {
		if f.managers, err = c.managers(ctx, f.now); err == nil {
			f.attended, f.shard = attended(f.managers, r.Namespace, f.shardKey())
			// A manager without leader election has no lease. It shows itself by what it does.
			f.attended = f.attended || len(f.managers) == 0 && f.now.Sub(f.waitingSince()) < unattendedAfter
		}
		f.may("managers", err)
		f.store, err = c.store(ctx)
		if r.outbox != nil && r.outbox.PersistedTime != nil {
			f.store.outlived(f.managers, r.outbox.PersistedTime.Time)
		}
		f.may("the state of the store", err)
	}
	f.letter, err = c.letterOf(ctx, r)
	f.may("Events of the resource", err)
	if f.rr != nil {
		f.children, err = c.children(ctx, r)
		f.may("children", err)
	}
	if slices.Contains(r.Finalizers, metav1.FinalizerDeleteDependents) {
		f.dependents, err = c.blocking(ctx, r)
		f.may("dependents", err)
	}
	if f.aia != nil && f.aia.Status.Phase == v1alpha1.AnalysisAwaitingApproval {
		f.approvers, err = c.approversIn(ctx, r.Namespace)
		f.may("who may decide", err)
	}
	return f, nil
}

func (f *facts) decode() (err error) {
	if f.r.kind.Group != ownGroup {
		return nil
	}
	f.ours = true
	switch f.r.kind.Resource {
	case requests:
		f.rr, err = typed[v1alpha1.RemediationRequest](f.r)
	case analyses:
		f.aia, err = typed[v1alpha1.AIAnalysis](f.r)
	case workflows:
		f.wfe, err = typed[v1alpha1.WorkflowExecution](f.r)
	case notifications:
		f.nr, err = typed[v1alpha1.NotificationRequest](f.r)
	}
	return err
}

// unattendedAfter is how long something may wait where no manager has a lease.
const unattendedAfter = time.Minute

// waitingSince is how long ago the oldest entry was recorded, or the resource was created.
func (f *facts) waitingSince() time.Time {
	if oldest := f.r.oldest(); !oldest.IsZero() {
		return oldest
	}
	if !f.r.outbox.IsZero() {
		return f.now
	}
	return f.r.CreationTimestamp.Time
}

// remediation is the request that a child names.
func (f *facts) remediation() (name, uid string) {
	var ref v1alpha1.RemediationRef
	switch {
	case f.aia != nil:
		ref = f.aia.Spec.RemediationRef
	case f.wfe != nil:
		ref = f.wfe.Spec.RemediationRef
	case f.nr != nil:
		ref = f.nr.Spec.RemediationRef
	}
	return ref.Name, string(ref.UID)
}

// shardKey is what a manager hashes: a request and its children are in one shard.
func (f *facts) shardKey() string {
	if _, uid := f.remediation(); uid != "" {
		return uid
	}
	return string(f.r.UID)
}

// letterOf is what the newest Event about a dead letter of a resource says, "" if there is none.
func (c *cluster) letterOf(ctx context.Context, r *resource) (string, error) {
	namespace := r.Namespace
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	events, err := c.clientset.EventsV1().Events(namespace).List(ctx, metav1.ListOptions{FieldSelector: "reason=EntryDeadLettered"})
	if err != nil {
		return "", err
	}
	var at time.Time
	note := ""
	for i := range events.Items {
		e := &events.Items[i]
		if e.Regarding.UID == r.UID && e.Type == corev1.EventTypeWarning && !eventTime(e).Before(at) {
			at, note = eventTime(e), e.Note
		}
	}
	return note, nil
}

// blocking are the resources with an outbox that keep their owner from being deleted in the foreground.
func (c *cluster) blocking(ctx context.Context, owner *resource) ([]*resource, error) {
	types, err := c.kinds(ctx)
	if err != nil {
		return nil, err
	}
	var all []*resource
	for _, k := range types {
		err := c.each(ctx, k, owner.Namespace, selectors{}, func(r *resource) {
			if slices.ContainsFunc(r.OwnerReferences, func(o metav1.OwnerReference) bool {
				return o.UID == owner.UID && o.BlockOwnerDeletion != nil && *o.BlockOwnerDeletion
			}) {
				all = append(all, r)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// undrained are the entries that wait. Entries of an open record that is fine may be durable.
func (f *facts) undrained() bool { return len(f.pending) > 0 }

// unsupported reports whether an entry waits for a newer manager.
func (f *facts) unsupported() bool {
	return slices.ContainsFunc(f.pending, func(e pendingEntry) bool { return e.SchemaVersion > entry.SchemaVersion })
}
