package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/outbox"
)

// approverRole is the ClusterRole of people who decide.
const approverRole = "holdfast-approver"

// approvers are those who may decide in a namespace, as far as bindings say. Others may have the right by another role.
type approvers struct {
	bound []string
	// unread: the namespace's bindings could not be read; partly: those of the cluster could not.
	unread, partly bool
	// me is the user who asks, mayDecide whether that user may.
	me        string
	mayDecide bool
	// free is a name for a RoleBinding that no other has.
	free string
}

// approversIn reads the bindings of a namespace, and what the user who asks may do where they do not say who may decide. Bindings of the whole cluster count too, where they may be read.
func (c *cluster) approversIn(ctx context.Context, namespace string) (*approvers, error) {
	bindings, unread := c.clientset.RbacV1().RoleBindings(namespace).List(ctx, metav1.ListOptions{})
	everywhere, err := c.clientset.RbacV1().ClusterRoleBindings().List(ctx, metav1.ListOptions{})
	if err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	a := &approvers{free: approverRole, unread: unread != nil, partly: err != nil}
	taken := map[string]bool{}
	for i := range bindings.Items {
		taken[bindings.Items[i].Name] = true
		a.add(bindings.Items[i].RoleRef, bindings.Items[i].Subjects)
	}
	for i := range everywhere.Items {
		a.add(everywhere.Items[i].RoleRef, everywhere.Items[i].Subjects)
	}
	for n := 2; taken[a.free]; n++ {
		a.free = fmt.Sprintf("%s-%d", approverRole, n)
	}
	slices.Sort(a.bound)
	if a.bound = slices.Compact(a.bound); len(a.bound) > 0 {
		return a, unread
	}
	me, err := c.clientset.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	a.me = me.Status.UserInfo.Username
	refused, err := c.refusedVerb(ctx, namespace, "")
	a.mayDecide = err == nil && refused == ""
	return a, firstOf(unread, err)
}

func (a *approvers) add(role rbacv1.RoleRef, subjects []rbacv1.Subject) {
	if role.Kind != "ClusterRole" || role.Name != approverRole {
		return
	}
	for _, s := range subjects {
		name := s.Name
		if s.Kind == rbacv1.ServiceAccountKind {
			name = s.Namespace + "/" + name
		}
		a.bound = append(a.bound, strings.ToLower(s.Kind)+" "+outbox.Bound(cell(name), 100)) // whoever binds chooses the names
	}
}

// maxApprovers are named in a sentence.
const maxApprovers = 5

// who says who may decide.
func (a *approvers) who() string {
	switch {
	case a == nil:
		return "who may decide could not be read"
	case len(a.bound) > maxApprovers:
		return strings.Join(a.bound[:maxApprovers], ", ") + " and " + counted(len(a.bound)-maxApprovers, "other") + " may decide"
	case len(a.bound) > 0:
		return orList(a.bound) + " may decide"
	case a.unread && a.mayDecide:
		return "you may decide"
	case a.unread:
		return "you may not decide, and who may could not be read"
	case a.mayDecide:
		return "nobody is bound to the role " + approverRole + ", but you may decide by another right"
	}
	seen := ""
	if a.partly {
		seen = " as far as you may see"
	}
	return "nobody may decide yet, since nobody is bound to the role " + approverRole + seen + ": whoever administers the namespace binds somebody, you or another user"
}

// bind is the command that binds the user who asks, for whoever may: so without --as. It is "" where somebody may decide.
func (a *approvers) bind(c *cluster, namespace string) string {
	if a == nil || a.unread || len(a.bound) > 0 || a.mayDecide {
		return ""
	}
	return "kubectl" + c.flagsBut("as") + " create rolebinding " + a.free + " --clusterrole=" + approverRole + " --user=" + quoted(a.me) + " -n " + quoted(namespace)
}

// refusedVerb is the first verb that a decision needs and that the user lacks, on one analysis or, without a name, on all of a namespace; "" if there is none.
func (c *cluster) refusedVerb(ctx context.Context, namespace, name string) (string, error) {
	for _, verb := range []string{"approve", "patch"} {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Group: ownGroup, Resource: analyses, Verb: verb, Namespace: namespace, Name: name}}}
		answer, err := c.clientset.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			return "", fmt.Errorf("ask the cluster what you may do: %w", err)
		}
		if !answer.Status.Allowed {
			return verb, nil
		}
	}
	return "", nil
}
