package remediation

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/apiserver"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// eventForeignChild is the event of the entry that records a foreign child.
const eventForeignChild = "ForeignChild"

// setLater are the spec fields of children that others set after the creation.
var setLater = []string{"cancel", "decision"}

// adopt fills a slot. It uses the resource that has the child's name if this request would make exactly this resource now: an earlier process may have made it and died
// before it saved that. Otherwise it creates a child. Names and owner references prove nothing, because whoever creates a resource chooses them. ready is false while a
// foreign child blocks the slot: try again later.
func (r *Reconciler) adopt(ctx context.Context, s *scope, l *slot, want outbox.Object) (ready bool, _ error) {
	if l.found != nil {
		why, err := r.whyForeign(ctx, s, l, want)
		if err != nil {
			return false, err
		}
		if why == "" {
			*l.name, *l.uid = l.found.GetName(), l.found.GetUID()
			return true, nil
		}
		if renamed, err := r.renameChild(ctx, s, l, why); !renamed || err != nil {
			return false, err
		}
	}
	// Create at once after a new name was saved, before anybody who watches for the name can use it.
	created, err := r.create(ctx, s.rr, l, want.DeepCopyObject().(outbox.Object))
	if err != nil || !created {
		return false, err // the next reconcile examines what was found there
	}
	*l.name, *l.uid = l.found.GetName(), l.found.GetUID()
	return true, nil
}

// whyForeign says why the resource in a slot is not the one that this request would make now, "" if it is. A dry run asks the API server: it replaces the spec by the
// expected one. The API server fills in defaults and rejects a spec that differs, because specs are immutable.
func (r *Reconciler) whyForeign(ctx context.Context, s *scope, l *slot, want outbox.Object) (string, error) {
	switch {
	case !controlledBy(l.found, s.rr):
		return "it is not controlled by this request", nil
	case l.found.GetDeletionTimestamp() != nil:
		return "it is being deleted", nil
	}
	spec, err := specOf(want)
	if err != nil {
		return "", err
	}
	found, err := specOf(l.found)
	if err != nil {
		return "", err
	}
	for _, field := range setLater {
		if value, set := found[field]; set {
			spec[field] = value
		}
	}
	patch, err := json.Marshal([]map[string]any{
		{"op": "test", "path": "/metadata/uid", "value": l.found.GetUID()},
		{"op": "replace", "path": "/spec", "value": spec},
	})
	if err != nil {
		return "", fmt.Errorf("compare %s: %w", l.found.GetName(), err)
	}
	same := l.found.DeepCopyObject().(outbox.Object)
	err = r.client.Patch(ctx, same, client.RawPatch(types.JSONPatchType, patch), client.DryRunAll)
	switch {
	case apierrors.IsInvalid(err) && !apiserver.FailedTest(err):
		return "it differs from the child that this request would create: " + causes(err), nil
	case apierrors.IsForbidden(err) || apierrors.IsBadRequest(err) || apierrors.IsMethodNotSupported(err): // a webhook that does not support dry runs, a right that is missing
		return "", fmt.Errorf("%w: compare %s: %w", errRefused, l.found.GetName(), err)
	case err != nil:
		return "", fmt.Errorf("compare %s: %w", l.found.GetName(), err)
	}
	fields, err := differences(same, l.found)
	switch {
	case err != nil:
		return "", err
	case len(fields) > 0:
		return "it differs from the child that this request would create: " + strings.Join(fields, ", "), nil
	}
	return "", nil
}

// causes names the fields that the API server refused.
func causes(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return err.Error()
	}
	var fields []string
	for _, cause := range status.Status().Details.Causes {
		if cause.Field != "" && !slices.Contains(fields, cause.Field) {
			fields = append(fields, cause.Field)
		}
	}
	if len(fields) == 0 {
		return outbox.Bound(err.Error(), 512)
	}
	slices.Sort(fields)
	return strings.Join(fields, ", ")
}

// differences names the spec fields in which two children of a kind differ, without those that are set later.
func differences(want, got outbox.Object) ([]string, error) {
	a, err := specOf(want)
	if err != nil {
		return nil, err
	}
	b, err := specOf(got)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, field := range slices.Sorted(maps.Keys(a)) {
		if !bytes.Equal(a[field], b[field]) && !slices.Contains(setLater, field) {
			names = append(names, "spec."+field)
		}
	}
	for _, field := range slices.Sorted(maps.Keys(b)) {
		if _, both := a[field]; !both && !slices.Contains(setLater, field) {
			names = append(names, "spec."+field)
		}
	}
	return names, nil
}

// specOf is the spec by its fields, each as JSON: Go writes equal values as equal texts.
func specOf(child outbox.Object) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(child)
	if err != nil {
		return nil, fmt.Errorf("read the spec of %s: %w", child.GetName(), err)
	}
	var whole struct {
		Spec map[string]json.RawMessage `json:"spec"`
	}
	if err := json.Unmarshal(text, &whole); err != nil {
		return nil, fmt.Errorf("read the spec of %s: %w", child.GetName(), err)
	}
	return whole.Spec, nil
}

// renameChild records a foreign child and gives the real child another, random name, which nobody can guess. A foreign child that claims to be this request's is cancelled
// first, and renamed is false until it has ended: an earlier release may have made it, and two workflows must not change one target at the same time.
func (r *Reconciler) renameChild(ctx context.Context, s *scope, l *slot, why string) (renamed bool, _ error) {
	if s.claimed(l) && !ended(l.found) {
		return false, r.cancelChild(ctx, s, l.found)
	}
	seed := make([]byte, 16)
	_, _ = rand.Read(seed) // never fails
	*l.name = childName(s.rr, l.part, seed)
	if s.reported(string(l.found.GetUID())) {
		if err := s.draft.Save(ctx, nil); err != nil {
			return false, fmt.Errorf("save another name of the %s: %w", l.part, err)
		}
	} else if err := r.report(ctx, s, l, why); err != nil {
		return false, err
	}
	l.found = nil
	return true, nil
}

// reported reports whether the condition ForeignChild already mentions what: a uid, or a slot (see ofPart).
func (s *scope) reported(what string) bool {
	condition := meta.FindStatusCondition(s.rr.Status.Conditions, v1alpha1.ConditionForeignChild)
	return condition != nil && strings.Contains(condition.Message, what)
}

// ofPart is how the condition's message names the slot.
func (l *slot) ofPart() string { return "this request's " + l.part + "," }

// notDue handles a foreign child whose name belongs to a child that this request makes later, or never. It records the first one and no others. Another name is chosen only
// when the child is made.
func (r *Reconciler) notDue(ctx context.Context, s *scope, l *slot, why string) error {
	if s.claimed(l) && !ended(l.found) {
		if err := r.cancelChild(ctx, s, l.found); err != nil {
			return err
		}
	}
	if s.reported(l.ofPart()) {
		return nil
	}
	return r.report(ctx, s, l, why)
}

// report records a foreign child: condition, entry and Event.
func (r *Reconciler) report(ctx context.Context, s *scope, l *slot, why string) error {
	if err := s.draft.Reserve(ctx, 1); err != nil {
		return err
	}
	gvk, err := apiutil.GVKForObject(l.found, r.client.Scheme())
	if err != nil {
		return fmt.Errorf("name the foreign child %s: %w", l.found.GetName(), err)
	}
	note := outbox.Bound(fmt.Sprintf("%s %s (uid %s) has the name of %s but was not created by it: %s. It is ignored. Check who may create %s in this namespace",
		gvk.Kind, l.found.GetName(), l.found.GetUID(), l.ofPart(), why, gvk.GroupKind()), 2048)
	meta.SetStatusCondition(&s.rr.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionForeignChild, Status: metav1.ConditionTrue, Reason: "NotMadeByThisRequest", Message: outbox.Bound(note, 1024), ObservedGeneration: s.rr.Generation})
	record := Record(s.rr)
	record.FailureReason = note
	phase := string(s.rr.Status.Phase)
	if err := s.draft.Save(ctx, &outbox.Change{Kind: entry.KindOrchestration, Event: eventForeignChild, Phase: phase, Record: record}); err != nil {
		return fmt.Errorf("record a foreign %s: %w", l.part, err)
	}
	lifecycle.Announce(r.recorder, s.rr, lifecycle.Warning, eventForeignChild, note)
	return nil
}
