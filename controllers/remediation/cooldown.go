package remediation

import (
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// pageSize is how many requests are read at once from the API server.
const pageSize = 100

// fingerprintField is a selectable field of the kind, and a field of the cache's index.
const fingerprintField = "spec.signal.fingerprint"

// coolDown holds back requests that would repair a target again for the same alert. The requests that have ended are its memory: one that acted is not deleted before its cool-down is over. So
// a restart forgets nothing, and whoever wants to go on earlier deletes the earlier request.
type coolDown struct {
	duration time.Duration
	// reader finds requests by fingerprintField; nil: the client, a cache.
	reader client.Reader
}

// WithCoolDown sets the cool-down; 0 is none, the default. reader finds the requests of all shards by their fingerprint, in the API server; nil: the client, whose cache has them all.
func WithCoolDown(d time.Duration, reader client.Reader) Option {
	return func(r *Reconciler) { r.coolDown = coolDown{d, reader} }
}

// indexFingerprints lets the cache find requests by their fingerprint.
func indexFingerprints(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.RemediationRequest{}, fingerprintField, func(o client.Object) []string {
		return []string{o.(*v1alpha1.RemediationRequest).Spec.Signal.Fingerprint}
	})
	if err != nil {
		return fmt.Errorf("index requests by fingerprint: %w", err)
	}
	return nil
}

// acted reports whether a request has ended and may have changed its target. Whoever lets a request act may act as the account that it names. So who may only create requests, or act as an account
// without the right to change the target, can't hold back those of others. What a person cancelled does not count: it may be begun anew at once.
func acted(rr *v1alpha1.RemediationRequest) bool {
	st := &rr.Status
	return lifecycle.Closed(rr) && st.CompletedTime != nil && st.WorkflowStartedTime != nil && rr.Spec.ServiceAccountName != "" && st.Phase != v1alpha1.RemediationCancelled &&
		!meta.IsStatusConditionFalse(st.Conditions, v1alpha1.ConditionCoolingDown)
}

// changedNothing reports whether it is known that a workflow left the target as it was: no step succeeded, and of each that failed it was seen that it had taken no effect, as for want of rights.
// Evictions that went before a failure are not known.
func changedNothing(w *v1alpha1.WorkflowExecution) bool {
	st := &w.Status
	return st.StartedTime != nil && st.VerifyingTime == nil && st.RollbacksPerformed == 0 && !slices.ContainsFunc(st.Steps, func(s v1alpha1.StepStatus) bool {
		return s.State != v1alpha1.StepFailed || len(s.Previous) > 0 || s.Rollback != nil || s.Action == "RestartPods"
	})
}

// noteHarmless puts into the conditions that a workflow changed nothing, for acted.
func (s *scope) noteHarmless(w *v1alpha1.WorkflowExecution) {
	if changedNothing(w) {
		s.setCondition(metav1.Condition{Type: v1alpha1.ConditionCoolingDown, Status: metav1.ConditionFalse, Reason: "NothingChanged", Message: "The workflow did not change the target, so there is no cool-down"})
	}
}

// remaining is what is left of a request's own cool-down.
func (c *coolDown) remaining(rr *v1alpha1.RemediationRequest, now time.Time) time.Duration {
	if c.duration <= 0 || !acted(rr) {
		return 0
	}
	return max(0, rr.Status.CompletedTime.Add(c.duration).Sub(now))
}

// heldBack says why a request is held back, "" if it is not. It stays held back once it was.
func (r *Reconciler) heldBack(ctx context.Context, s *scope) (string, error) {
	if condition := meta.FindStatusCondition(s.rr.Status.Conditions, v1alpha1.ConditionCoolingDown); condition != nil && condition.Status == metav1.ConditionTrue {
		return condition.Message, nil
	}
	if r.coolDown.duration <= 0 {
		return "", nil
	}
	last, err := r.lastRepair(ctx, s)
	if err != nil {
		return "", fmt.Errorf("list earlier requests of this alert: %w", err)
	}
	return r.coolDown.why(last, s.now), nil
}

// lastRepair is, of the requests of the same target and alert, the one whose cool-down ends last; nil if none cools down. Whoever makes requests chooses how many have a fingerprint, and how large
// they are: from the API server they come in pages, of which one is in memory. A cache has them in memory anyway, and knows no pages.
func (r *Reconciler) lastRepair(ctx context.Context, s *scope) (last *v1alpha1.RemediationRequest, _ error) {
	options := []client.ListOption{client.InNamespace(s.rr.Namespace), client.MatchingFields{fingerprintField: s.rr.Spec.Signal.Fingerprint}, client.UnsafeDisableDeepCopy}
	reader := client.Reader(r.client)
	if r.coolDown.reader != nil {
		reader, options = r.coolDown.reader, append(options, client.Limit(pageSize))
	}
	var longest time.Duration
	for {
		page := &v1alpha1.RemediationRequestList{}
		if err := reader.List(ctx, page, options...); err != nil {
			return nil, err
		}
		for i := range page.Items {
			other := &page.Items[i]
			if other.UID == s.rr.UID || other.Spec.Target != s.rr.Spec.Target || other.Spec.Signal.Fingerprint != s.rr.Spec.Signal.Fingerprint {
				continue
			}
			if left := r.coolDown.remaining(other, s.now); left > longest {
				last, longest = other.DeepCopy(), left
			}
		}
		if r.coolDown.reader == nil || page.Continue == "" { // a cache says that it cannot continue
			return last, nil
		}
		options = append(options, client.Continue(page.Continue))
	}
}

// why says that a request is held back because of an earlier one; "" without one.
func (c *coolDown) why(last *v1alpha1.RemediationRequest, now time.Time) string {
	if last == nil {
		return ""
	}
	return fmt.Sprintf("Not started: RemediationRequest %s (uid %s) acted on this target for the same alert and ended at %s with the outcome %s. The cool-down of %s ends at %s. To start earlier, delete that request and create a new one",
		last.Name, last.UID, last.Status.CompletedTime.UTC().Format(time.RFC3339), last.Status.Outcome, c.duration, now.Add(c.remaining(last, now)).UTC().Format(time.RFC3339))
}

// keep says why a request that acted is not deleted although its TTL is over.
func (r *Reconciler) keep(ctx context.Context, s *scope, left time.Duration) error {
	why := fmt.Sprintf("This request acted on the target. Until the cool-down of %s ends at %s, it is not deleted, and other requests for the same alert and target are not started",
		r.coolDown.duration, s.now.Add(left).UTC().Format(time.RFC3339))
	begins := meta.FindStatusCondition(s.rr.Status.Conditions, v1alpha1.ConditionCoolingDown) == nil
	s.setCondition(metav1.Condition{Type: v1alpha1.ConditionCoolingDown, Status: metav1.ConditionTrue, Reason: "Repaired", Message: why})
	switch err := s.draft.Save(ctx, nil); {
	case apierrors.IsConflict(err):
		return nil // the newer version starts the reconciler again
	case err != nil:
		return fmt.Errorf("save that the request is kept: %w", err)
	}
	if begins {
		lifecycle.Announce(r.recorder, s.rr, lifecycle.Normal, v1alpha1.ConditionCoolingDown, why)
	}
	return nil
}

// holdBack ends a request that is held back. People are told, since an alert that comes back after its repair needs somebody who looks.
func (r *Reconciler) holdBack(ctx context.Context, s *scope, why string) (ctrl.Result, error) {
	s.setCondition(metav1.Condition{Type: v1alpha1.ConditionCoolingDown, Status: metav1.ConditionTrue, Reason: "RepairedBefore", Message: why})
	result, err := r.conclude(ctx, s, verdict{v1alpha1.OutcomeNoAction, why})
	if err == nil && s.rr.Status.Phase != v1alpha1.RemediationPending {
		lifecycle.Announce(r.recorder, s.rr, lifecycle.Warning, v1alpha1.ConditionCoolingDown, why)
	}
	return result, err
}
