package workflowexecution

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/condition"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// accept makes the first entry: the workflow is known.
func (r *Reconciler) accept(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.status.Phase, s.status.WorkflowVersion = v1alpha1.WorkflowPending, r.version(s.wfe)
	spec := &s.wfe.Spec
	return r.record(ctx, s, eventCreated, lifecycle.Normal, fmt.Sprintf("%s on %s %s, in %d steps.", spec.WorkflowID, spec.Target.Kind, spec.Target.Name, len(spec.Steps)))
}

// version is that of the catalogue's entry which a request's controller made this workflow of. The content is compared, since that controller may be of another release. A workflow made
// by hand has no request as its controller: the policy holdfast-orchestration keeps it from naming one.
func (r *Reconciler) version(wfe *v1alpha1.WorkflowExecution) string {
	owner := metav1.GetControllerOf(wfe)
	entry, known := r.catalogue.Get(wfe.Spec.WorkflowID)
	if owner == nil || owner.Kind != "RemediationRequest" || owner.UID != wfe.Spec.RemediationRef.UID || !known {
		return ""
	}
	if !entry.Makes(catalogue.Plan{Steps: wfe.Spec.Steps, PreConditions: wfe.Spec.PreConditions, PostConditions: wfe.Spec.PostConditions}) {
		return ""
	}
	return entry.Version()
}

func (r *Reconciler) beginValidation(ctx context.Context, s *scope) (ctrl.Result, error) {
	s.status.Phase = v1alpha1.WorkflowValidating
	return r.record(ctx, s, eventValidationStarted, lifecycle.Normal, fmt.Sprintf("Checking the service account and %d pre-conditions.", len(s.wfe.Spec.PreConditions)))
}

// validate checks what can be checked before anything is changed: the account, the expressions, the pre-conditions. Pre-conditions are checked once, not awaited.
func (r *Reconciler) validate(ctx context.Context, s *scope) (ctrl.Result, error) {
	spec := &s.wfe.Spec
	if spec.ServiceAccountName == "" {
		return r.end(ctx, s, v1alpha1.WorkflowFailed, "spec.serviceAccountName is empty, expected a service account of this namespace; steps run with its permissions")
	}
	if ending, err := lifecycle.NamespaceEnding(ctx, r.live, s.wfe.Namespace); err != nil {
		return ctrl.Result{}, fmt.Errorf("read namespace %s: %w", s.wfe.Namespace, err)
	} else if ending {
		return r.end(ctx, s, v1alpha1.WorkflowFailed, "namespace "+s.wfe.Namespace+" is being deleted")
	}
	if wrong := s.compile(v1alpha1.StagePre, spec.PreConditions) + s.compile(v1alpha1.StagePost, spec.PostConditions); wrong != "" {
		return r.end(ctx, s, v1alpha1.WorkflowFailed, strings.TrimPrefix(wrong, "; "))
	}
	if len(spec.PreConditions) > 0 {
		results, err := r.look(ctx, s, v1alpha1.StagePre, spec.PreConditions)
		if err != nil && transient(err) {
			if s.timedOut() {
				return r.end(ctx, s, v1alpha1.WorkflowTimedOut, s.timeoutReason()+" before the pre-conditions could be evaluated: "+err.Error())
			}
			return ctrl.Result{}, err
		}
		s.status.Validations = append(s.status.Validations, results...)
		if err != nil {
			s.failFirstStep(err)
			return r.end(ctx, s, v1alpha1.WorkflowFailed, "the pre-conditions could not be evaluated: "+err.Error())
		}
		if failed := failures(results); failed != "" {
			return r.end(ctx, s, v1alpha1.WorkflowFailed, "pre-conditions did not hold: "+failed)
		}
	}
	s.status.Phase = v1alpha1.WorkflowExecuting
	s.status.StartedTime = outboxapi.NewTimePointer(s.now)
	return r.record(ctx, s, eventValidationPassed, lifecycle.Normal, fmt.Sprintf("Starting step %s as service account %s.", spec.Steps[0].Name, spec.ServiceAccountName))
}

// compile records the conditions that do not compile, and says which.
func (s *scope) compile(stage v1alpha1.ValidationStage, conditions []v1alpha1.WorkflowCondition) (wrong string) {
	for _, c := range conditions {
		if _, err := condition.Compile(c.Expression); err != nil {
			s.status.Validations = append(s.status.Validations, s.result(stage, c.Name, false, err.Error()))
			wrong += fmt.Sprintf("; %s-condition %s: %v", stage, c.Name, err)
		}
	}
	return wrong
}

// failFirstStep records that the account could not act, as a failed attempt of the first step. A target that is gone and a condition that costs too much are not the
// account's fault.
func (s *scope) failFirstStep(err error) {
	if errors.Is(err, action.ErrGone) || errors.Is(err, action.ErrParameter) || errors.Is(err, condition.ErrCost) {
		return
	}
	st := s.openAttempt(&s.wfe.Spec.Steps[0])
	s.closeAttempt(st, v1alpha1.StepFailed, err.Error())
}

// look evaluates conditions over the live target, read as the account. If the target cannot be read, the error says why and no condition holds. The evaluation stops at the
// first condition that cannot be evaluated to its end; the error is a condition.ErrCost, or transient.
func (r *Reconciler) look(ctx context.Context, s *scope, stage v1alpha1.ValidationStage, conditions []v1alpha1.WorkflowCondition) ([]v1alpha1.ValidationResult, error) {
	target, err := r.readTarget(ctx, s.wfe)
	s.target = target
	taken := condition.NewLook(target)
	results := make([]v1alpha1.ValidationResult, 0, len(conditions))
	for _, c := range conditions {
		var holds bool
		var message string
		var unfinished error
		switch compiled, compileErr := condition.Compile(c.Expression); {
		case err != nil:
			message = err.Error()
		case compileErr != nil:
			message = compileErr.Error()
		case stage == v1alpha1.StagePre:
			holds, message, unfinished = taken.Holds(ctx, compiled)
		default:
			holds, message, unfinished = taken.HoldsNow(ctx, compiled)
		}
		results = append(results, s.result(stage, c.Name, holds, message))
		if unfinished != nil {
			return results, fmt.Errorf("%s-condition %s: %w", stage, c.Name, unfinished)
		}
	}
	return results, err
}

func (r *Reconciler) readTarget(ctx context.Context, wfe *v1alpha1.WorkflowExecution) (map[string]any, error) {
	w, err := r.workload(ctx, wfe)
	if err != nil {
		return nil, err
	}
	target, err := w.Get(ctx)
	if err != nil {
		return nil, err
	}
	return target.Object, nil
}

func (s *scope) result(stage v1alpha1.ValidationStage, name string, passed bool, message string) v1alpha1.ValidationResult {
	return v1alpha1.ValidationResult{Name: name, Stage: stage, Passed: passed, Message: bound(message), Time: outboxapi.NewTime(s.now)}
}

// failures names the conditions that do not hold, "" when all do.
func failures(results []v1alpha1.ValidationResult) string {
	var texts []string
	for _, v := range results {
		if !v.Passed {
			texts = append(texts, v.Name+": "+v.Message)
		}
	}
	return strings.Join(texts, "; ")
}
