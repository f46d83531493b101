package workflowexecution

import (
	"context"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/workflowexecution/action"
)

// maxCachedClients bounds the clients in the cache. They share their connections.
const maxCachedClients = 128

// accounts makes clients that act as service accounts, and caches them.
type accounts struct {
	config *rest.Config
	own    client.Client
	cached *lru.Cache
}

func newAccounts(config *rest.Config, own client.Client) *accounts {
	return &accounts{config: rest.CopyConfig(config), own: own, cached: lru.New(maxCachedClients)}
}

// client returns a client with the rights of the service account. If a request names no groups, the API server adds those that every service account has (system:serviceaccounts,
// system:serviceaccounts:<namespace>, system:authenticated). So the controller needs the verb impersonate on service accounts only, and on no group.
func (a *accounts) client(namespace, name string) (client.Client, error) {
	user := userOf(namespace, name)
	if c, ok := a.cached.Get(user); ok {
		return c.(client.Client), nil
	}
	config := rest.CopyConfig(a.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user}
	config.Wrap(withoutRetryAfter)
	c, err := client.New(config, client.Options{Scheme: a.own.Scheme(), Mapper: a.own.RESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("create a client that impersonates %s: %w", user, err)
	}
	a.cached.Add(user, c)
	return c, nil
}

// withoutRetryAfter keeps client-go from sleeping inside a pass for as long as an answer says, up to ten times: a disruption budget that refuses an eviction says ten seconds.
// The next pass asks again.
func withoutRetryAfter(next http.RoundTripper) http.RoundTripper {
	return roundTrip(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err == nil {
			response.Header.Del("Retry-After")
		}
		return response, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// userOf is the name under which the API server knows an account.
func userOf(namespace, name string) string { return "system:serviceaccount:" + namespace + ":" + name }

// workload is the target, with a client that has the rights of the workflow's account. The error is the reason for a failed attempt, or transient.
func (r *Reconciler) workload(ctx context.Context, wfe *v1alpha1.WorkflowExecution) (action.Workload, error) {
	kind, err := r.targetKind(wfe.Spec.Target)
	if err != nil {
		return action.Workload{}, err
	}
	if err := r.checkAccount(ctx, wfe); err != nil {
		return action.Workload{}, err
	}
	c, err := r.accounts.client(wfe.Namespace, wfe.Spec.ServiceAccountName)
	if err != nil {
		return action.Workload{}, err
	}
	return action.Workload{Client: c, Kind: kind, Key: client.ObjectKey{Namespace: wfe.Namespace, Name: wfe.Spec.Target.Name}}, nil
}

// checkAccount makes sure that the account exists: the API server would impersonate one that does not, with whatever a forgotten binding grants to its name.
func (r *Reconciler) checkAccount(ctx context.Context, wfe *v1alpha1.WorkflowExecution) error {
	account := &corev1.ServiceAccount{}
	err := r.live.Get(ctx, client.ObjectKey{Namespace: wfe.Namespace, Name: wfe.Spec.ServiceAccountName}, account)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("service account %q does not exist in namespace %s; create it, or set another in spec.serviceAccountName", wfe.Spec.ServiceAccountName, wfe.Namespace)
	case err != nil:
		return fmt.Errorf("read service account %q of namespace %s: %w", wfe.Spec.ServiceAccountName, wfe.Namespace, err)
	}
	return nil
}

// targetKind is the target's kind, which must live in namespaces: the workflow's own is where its account has its rights.
func (r *Reconciler) targetKind(target v1alpha1.Target) (schema.GroupVersionKind, error) {
	gv, err := schema.ParseGroupVersion(target.APIVersion)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("%w: target.apiVersion is %q, expected for example apps/v1", action.ErrParameter, target.APIVersion)
	}
	gvk := gv.WithKind(target.Kind)
	mapping, err := r.accounts.own.RESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version)
	switch {
	case meta.IsNoMatchError(err):
		return gvk, fmt.Errorf("%w: target is a %s of %s, which does not exist in this cluster", action.ErrParameter, target.Kind, target.APIVersion)
	case err != nil:
		return gvk, fmt.Errorf("look up the target's kind: %w", err)
	case mapping.Scope.Name() != meta.RESTScopeNameNamespace:
		return gvk, fmt.Errorf("%w: target is a %s, expected a namespaced kind", action.ErrParameter, target.Kind)
	}
	return gvk, nil
}
