package workflowexecution

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
)

// complete ends a workflow whose post-conditions hold. If it is not by what its own steps changed, because somebody else has changed that since, the workflow
// has failed, and nothing is rolled back: what is there now is not its own.
func (r *Reconciler) complete(ctx context.Context, s *scope) (ctrl.Result, error) {
	overwritten, err := r.markOverwritten(ctx, s)
	switch {
	case err != nil && transient(err) && !s.timedOut():
		return ctrl.Result{}, err
	case err != nil && transient(err):
		return r.end(ctx, s, v1alpha1.WorkflowTimedOut, s.timeoutReason()+" before the changes of its steps could be verified: "+err.Error())
	case err != nil:
		return r.end(ctx, s, v1alpha1.WorkflowFailed, "the changes of the steps could not be verified: "+err.Error())
	case overwritten != "":
		return r.end(ctx, s, v1alpha1.WorkflowFailed, "somebody else has changed the target: "+overwritten)
	}
	return r.completeAll(ctx, s)
}

// markOverwritten makes failed steps of those whose change is not there any more, and names them.
func (r *Reconciler) markOverwritten(ctx context.Context, s *scope) (string, error) {
	var changes []action.Change
	var of []*v1alpha1.StepStatus
	for i := range s.status.Steps {
		st := &s.status.Steps[i]
		if st.State != v1alpha1.StepSucceeded || len(st.Intent) == 0 {
			continue
		}
		a, err := action.Parse(s.wfe.Spec.Steps[i])
		if err != nil {
			return "", err
		}
		changes, of = append(changes, action.Change{Action: a, Intent: st.Intent}), append(of, st)
	}
	if len(changes) == 0 {
		return "", nil
	}
	limited, cancel := context.WithTimeout(ctx, lastLook)
	defer cancel()
	w, err := r.workload(limited, s.wfe)
	if err != nil {
		return "", err
	}
	instead, err := action.Overwritten(limited, w, changes)
	if err != nil {
		return "", err
	}
	var texts []string
	for i, found := range instead {
		if found == "" {
			continue
		}
		st := of[i]
		st.State, st.Failed, st.Previous, st.Intent = v1alpha1.StepFailed, true, nil, nil
		st.Message = bound(fmt.Sprintf("%s; changed by somebody else since: %s", st.Message, found))
		texts = append(texts, "step "+st.Name+": "+st.Message)
	}
	return strings.Join(texts, "; "), nil
}
