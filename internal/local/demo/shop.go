//go:build unix

package demo

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
)

// Who acts in the namespace.
const (
	namespace = "shop"
	// remediator is the account that workflows act as.
	remediator = "remediator"
	// approver may decide; trainee may change analyses, but not decide.
	approver = "jane@example.com"
	trainee  = "trainee@example.com"
)

// how often what is not watched is looked at.
const pollInterval = 200 * time.Millisecond

func newClient(cfg *rest.Config, user string) (client.Client, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.WarningHandlerWithContext = rest.NoWarnings{}
	if user != "" {
		cfg.Impersonate.UserName = user
	}
	return client.New(cfg, client.Options{Scheme: scheme})
}

// setup makes the namespace, the account and who may do what.
func (d *demo) setup(ctx context.Context) error {
	objects := []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: map[string]string{"holdfast.dev/gateway": "enabled"}}},
		&corev1.ConfigMap{ObjectMeta: inShop("holdfast-gateway"), Data: map[string]string{"config.yaml": gatewayRules(workloads)}},
		&corev1.ServiceAccount{ObjectMeta: inShop(remediator)},
	}
	objects = append(objects, grant(remediator, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: remediator, Namespace: namespace},
		rule("apps", "deployments", "get", "list", "patch"),
		rule("apps", "replicasets", "get", "list"),
		rule("", "pods", "list"),
		rule("", "pods/eviction", "create"))...)
	objects = append(objects, grant("gateway", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: dev.GatewayAccount, Namespace: dev.GatewayNamespace},
		named(rule("", "serviceaccounts", "impersonate"), remediator))...)
	objects = append(objects, &rbacv1.RoleBinding{ObjectMeta: inShop("approver"), Subjects: []rbacv1.Subject{person(approver)},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "holdfast-approver"}})
	objects = append(objects, grant("trainee", person(trainee),
		rule("holdfast.dev", "aianalyses", "get", "list", "patch"))...)
	for _, o := range objects {
		if err := d.admin.Create(ctx, o); err != nil {
			return fmt.Errorf("make %T %s: %w", o, o.GetName(), err)
		}
	}
	// Pods need the default account, which a controller makes.
	return poll(ctx, "the namespace has its default service account", time.Minute, func(ctx context.Context) (bool, string, error) {
		err := d.admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, &corev1.ServiceAccount{})
		return err == nil, "missing", client.IgnoreNotFound(err)
	})
}

// gatewayRules say for each workload who approves its repair, and how long that may take. All act as the remediator.
func gatewayRules(all []workload) string {
	text := "rules:\n"
	for _, w := range all {
		approval := "{mode: Manual}"
		if w.approveAbove != nil {
			approval = fmt.Sprintf("{mode: Auto, autoApproveAbove: %d}", *w.approveAbove)
		}
		text += fmt.Sprintf("  - {matchers: [deployment=%s], serviceAccountName: %s, approval: %s, timeouts: {execution: %s}, notification: {channels: [{type: console}]}}\n", w.name, remediator, approval, w.execution)
	}
	return text
}

func inShop(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// grant is a Role and its binding.
func grant(name string, to rbacv1.Subject, rules ...rbacv1.PolicyRule) []client.Object {
	return []client.Object{
		&rbacv1.Role{ObjectMeta: inShop(name), Rules: rules},
		&rbacv1.RoleBinding{ObjectMeta: inShop(name), Subjects: []rbacv1.Subject{to}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name}},
	}
}

func person(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

func rule(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func named(r rbacv1.PolicyRule, names ...string) rbacv1.PolicyRule {
	r.ResourceNames = names
	return r
}

// poll is await for what the feed does not watch. What check could not read is asked for again, too.
func poll(ctx context.Context, what string, timeout time.Duration, check func(context.Context) (ok bool, seen string, err error)) error {
	state := "nothing yet"
	err := wait.PollUntilContextTimeout(ctx, pollInterval, timeout, true, func(ctx context.Context) (bool, error) {
		ok, seen, err := check(ctx)
		switch {
		case err == nil:
			state = seen
		case apierrors.IsForbidden(err) || apierrors.IsInvalid(err):
			return false, err
		case ctx.Err() == nil:
			state = err.Error()
		}
		return ok && err == nil, nil
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("wait until %s: %w", what, ctx.Err())
	case wait.Interrupted(err):
		return fmt.Errorf("wait until %s: not after %s; it is: %s", what, timeout, state)
	default:
		return fmt.Errorf("wait until %s: %w", what, err)
	}
}
