package guard

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// Policy is what a ValidatingAdmissionPolicy must be like to be relied on.
type Policy struct {
	// Name of the policy and of its binding.
	Name string
	// Resource of holdfast.dev that it must apply to, on CREATE and UPDATE.
	Resource string
	// Texts that its expressions must contain.
	Texts []string
	// Lacks says what is wrong without one of them.
	Lacks string
}

// Problem returns why the policy is not in force, or "" if it is. A write before the policy existed was not checked. So if since is not zero, neither the policy nor its binding may be
// newer than since.
func (g Policy) Problem(ctx context.Context, live client.Reader, since time.Time) (string, error) {
	policy, binding := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}
	for _, obj := range []client.Object{policy, binding} {
		what := reflect.TypeOf(obj).Elem().Name()
		switch err := live.Get(ctx, client.ObjectKey{Name: g.Name}, obj); {
		case apierrors.IsNotFound(err):
			return fmt.Sprintf("%s %s is not installed", what, g.Name), nil
		case apierrors.IsForbidden(err):
			return fmt.Sprintf("the controller is not allowed to get %s %s", what, g.Name), nil
		case err != nil:
			return "", fmt.Errorf("read %s %s: %w", what, g.Name, err)
		case !since.IsZero() && obj.GetCreationTimestamp().After(since):
			return fmt.Sprintf("%s %s was created after the resource that it must check", what, g.Name), nil
		}
	}
	return g.Weakness(policy, binding), nil
}

// Weakness returns how an unchecked write can pass, or "" if policy and binding are in force.
func (g Policy) Weakness(p *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	if problem := g.policyWeakness(p); problem != "" {
		return problem
	}
	return g.bindingWeakness(b)
}

func (g Policy) policyWeakness(p *admissionv1.ValidatingAdmissionPolicy) string {
	name := "ValidatingAdmissionPolicy " + g.Name
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
	case match == nil || !g.covers(match.ResourceRules, admissionv1.Create) || !g.covers(match.ResourceRules, admissionv1.Update):
		return name + " does not match CREATE and UPDATE of " + g.Resource + ".holdfast.dev"
	case narrowed(match):
		return name + " excludes some resources (namespaceSelector, objectSelector or excludeResourceRules)"
	case slices.ContainsFunc(g.Texts, func(text string) bool { return !strings.Contains(all, text) }):
		return name + " " + g.Lacks
	}
	return ""
}

func (g Policy) bindingWeakness(b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	name := "ValidatingAdmissionPolicyBinding " + g.Name
	match := b.Spec.MatchResources
	switch {
	case b.DeletionTimestamp != nil:
		return name + " is being deleted"
	case b.Spec.PolicyName != g.Name:
		return fmt.Sprintf("policyName of %s is %q, expected %q", name, b.Spec.PolicyName, g.Name)
	case !slices.Contains(b.Spec.ValidationActions, admissionv1.Deny):
		return fmt.Sprintf("validationActions of %s is %v, expected Deny", name, b.Spec.ValidationActions)
	case b.Spec.ParamRef != nil:
		return name + " has a paramRef, expected none"
	case match != nil && (narrowed(match) || len(match.ResourceRules) > 0 && (!g.covers(match.ResourceRules, admissionv1.Create) || !g.covers(match.ResourceRules, admissionv1.Update))):
		return name + " excludes some resources (matchResources)"
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

// covers reports whether one of the rules applies to an operation on all resources of the kind.
func (g Policy) covers(rules []admissionv1.NamedRuleWithOperations, op admissionv1.OperationType) bool {
	has := func(values []string, wanted string) bool {
		return slices.Contains(values, wanted) || slices.Contains(values, "*")
	}
	return slices.ContainsFunc(rules, func(r admissionv1.NamedRuleWithOperations) bool {
		return len(r.ResourceNames) == 0 &&
			(slices.Contains(r.Operations, op) || slices.Contains(r.Operations, admissionv1.OperationAll)) &&
			has(r.APIGroups, v1alpha1.GroupVersion.Group) && has(r.APIVersions, v1alpha1.GroupVersion.Version) &&
			(has(r.Resources, g.Resource) || slices.Contains(r.Resources, "*/*")) &&
			(r.Scope == nil || *r.Scope == admissionv1.AllScopes || *r.Scope == admissionv1.NamespacedScope)
	})
}
