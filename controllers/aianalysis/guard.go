package aianalysis

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// GuardPolicy names the ValidatingAdmissionPolicy, and its binding, that make sure who decides.
const GuardPolicy = "holdfast-approval"

// unguarded says why nobody makes sure that a decision was made by whom it names, "" if the policy is in force. It reads live, since the policy may
// have been deleted since the last check.
func (r *Reconciler) unguarded(ctx context.Context) (string, error) {
	key := client.ObjectKey{Name: GuardPolicy}
	policy, binding := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}
	for _, obj := range []client.Object{policy, binding} {
		what := reflect.TypeOf(obj).Elem().Name()
		switch err := r.live.Get(ctx, key, obj); {
		case apierrors.IsNotFound(err):
			return advice(fmt.Sprintf("%s %s is not installed", what, GuardPolicy)), nil
		case apierrors.IsForbidden(err):
			return advice(fmt.Sprintf("the controller may not get %s %s", what, GuardPolicy)), nil
		case err != nil:
			return "", fmt.Errorf("read %s %s: %w", what, GuardPolicy, err)
		}
	}
	return weakness(policy, binding), nil
}

func advice(problem string) string {
	return "The decision does not count, because nothing made sure who wrote it: " + problem + ". Install config/admission, cancel this request, and make it again."
}

// weakness says how a decision can pass that nobody has checked, "" if policy and binding are in force. It checks what somebody may switch off by accident: what the two apply to,
// what a failure means, whether they deny, and whether the expressions mention the caller and the verb. It does not prove that the expressions are right: whoever may change the policy
// may also make it worthless.
func weakness(p *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	for _, check := range []string{policyWeakness(p), bindingWeakness(b)} {
		if check != "" {
			return advice(check)
		}
	}
	return ""
}

func policyWeakness(p *admissionv1.ValidatingAdmissionPolicy) string {
	const name = "ValidatingAdmissionPolicy " + GuardPolicy
	var texts []string
	for _, v := range p.Spec.Variables {
		texts = append(texts, v.Expression)
	}
	for _, v := range p.Spec.Validations {
		texts = append(texts, v.Expression)
	}
	all := strings.Join(texts, "\n")
	match := p.Spec.MatchConstraints
	switch {
	case p.DeletionTimestamp != nil:
		return name + " is being deleted"
	case p.Spec.FailurePolicy != nil && *p.Spec.FailurePolicy != admissionv1.Fail:
		return fmt.Sprintf("failurePolicy of %s is %s, expected Fail", name, *p.Spec.FailurePolicy)
	case p.Spec.ParamKind != nil:
		return name + " has a paramKind, expected none"
	case match == nil || !covers(match.ResourceRules, admissionv1.Create) || !covers(match.ResourceRules, admissionv1.Update):
		return name + " does not match CREATE and UPDATE of aianalyses.holdfast.dev"
	case narrowed(match):
		return name + " leaves some resources out (namespaceSelector, objectSelector or excludeResourceRules)"
	case !strings.Contains(all, "request.userInfo.username") || !strings.Contains(all, "decidedBy") || !strings.Contains(all, "approve"):
		return name + " does not compare decidedBy with request.userInfo.username or does not ask for the verb approve"
	}
	return ""
}

func bindingWeakness(b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	const name = "ValidatingAdmissionPolicyBinding " + GuardPolicy
	match := b.Spec.MatchResources
	switch {
	case b.DeletionTimestamp != nil:
		return name + " is being deleted"
	case b.Spec.PolicyName != GuardPolicy:
		return fmt.Sprintf("policyName of %s is %q, expected %q", name, b.Spec.PolicyName, GuardPolicy)
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Sprintf("validationActions of %s is %v, expected Deny", name, b.Spec.ValidationActions)
	case b.Spec.ParamRef != nil:
		return name + " has a paramRef, expected none"
	case match != nil && (narrowed(match) || len(match.ResourceRules) > 0 && (!covers(match.ResourceRules, admissionv1.Create) || !covers(match.ResourceRules, admissionv1.Update))):
		return name + " leaves some resources out (matchResources)"
	}
	return ""
}

// narrowed reports whether selectors or exclusions leave resources out.
func narrowed(m *admissionv1.MatchResources) bool {
	selects := func(s *metav1.LabelSelector) bool {
		return s != nil && (len(s.MatchLabels) > 0 || len(s.MatchExpressions) > 0)
	}
	return selects(m.NamespaceSelector) || selects(m.ObjectSelector) || len(m.ExcludeResourceRules) > 0
}

// covers reports whether one of the rules applies to an operation on all analyses.
func covers(rules []admissionv1.NamedRuleWithOperations, op admissionv1.OperationType) bool {
	has := func(values []string, wanted string) bool {
		return slices.Contains(values, wanted) || slices.Contains(values, "*")
	}
	return slices.ContainsFunc(rules, func(r admissionv1.NamedRuleWithOperations) bool {
		return len(r.ResourceNames) == 0 &&
			(slices.Contains(r.Operations, op) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
			has(r.APIGroups, v1alpha1.GroupVersion.Group) && has(r.APIVersions, v1alpha1.GroupVersion.Version) &&
			(has(r.Resources, "aianalyses") || slices.Contains(r.Resources, "*/*")) &&
			(r.Scope == nil || *r.Scope == admissionv1.AllScopes || *r.Scope == admissionv1.NamespacedScope)
	})
}
