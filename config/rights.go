package config

import (
	"embed"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

//go:embed rbac/manager.yaml rbac/leader-election.yaml
var managerManifests embed.FS

// restrictable are resources whose rules an administrator may take out of the manager's ClusterRole and grant in some namespaces instead: docs/operations.md#permissions.
var restrictable = map[string]bool{"serviceaccounts": true, "secrets": true}

// ManagerRights returns what the manifests let the manager's account do in the whole cluster, and in its own namespace. What may be granted per namespace instead is not among it.
func ManagerRights() (cluster, own []authorizationv1.ResourceAttributes, err error) {
	for _, file := range []string{"rbac/manager.yaml", "rbac/leader-election.yaml"} {
		objects, err := decode(managerManifests, file)
		if err != nil {
			return nil, nil, fmt.Errorf("read the manifest %s: %w", file, err)
		}
		for _, o := range objects {
			role := &rbacv1.ClusterRole{} // a Role has its rules in the same place
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role); err != nil {
				return nil, nil, fmt.Errorf("read the %s %s: %w", o.GetKind(), o.GetName(), err)
			}
			switch o.GetKind() {
			case "ClusterRole":
				cluster = append(cluster, rights(role.Rules)...)
			case "Role":
				own = append(own, rights(role.Rules)...)
			}
		}
	}
	return cluster, own, nil
}

func rights(rules []rbacv1.PolicyRule) (all []authorizationv1.ResourceAttributes) {
	for _, rule := range rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				if group == "" && restrictable[resource] {
					continue
				}
				for _, verb := range rule.Verbs {
					for _, name := range names {
						all = append(all, right(group, resource, verb, name))
					}
				}
			}
		}
	}
	return all
}

func right(group, resource, verb, name string) authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(resource, "/")
	return authorizationv1.ResourceAttributes{Group: group, Resource: resource, Subresource: subresource, Verb: verb, Name: name}
}
