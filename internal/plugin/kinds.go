package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
)

// kind is a resource type whose status has an outbox.
type kind struct {
	schema.GroupVersionResource
	Kind       string
	singular   string
	namespaced bool
}

// String is what kubectl takes: remediationrequest.holdfast.dev.
func (k kind) String() string { return strings.TrimSuffix(k.singular+"."+k.Group, ".") }

// path of the resources in a namespace, or of all.
func (k kind) path(namespace string) string {
	path := "/apis/" + k.Group + "/" + k.Version
	if k.Group == "" {
		path = "/api/" + k.Version
	}
	if namespace != "" && k.namespaced {
		path += "/namespaces/" + namespace
	}
	return path + "/" + k.Resource
}

// ownGroup is the API group of the four kinds.
const ownGroup = "holdfast.dev"

// schemasAtOnce are the schemas that are read at the same time.
const schemasAtOnce = 8

// kinds finds every resource type whose status has an outbox, by the schemas that the API server publishes to everybody who may use discovery. Groups of Kubernetes itself have none.
func (c *cluster) kinds(ctx context.Context) ([]kind, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	// A group whose own API server is away is no reason to say nothing about the others.
	groups, lists, err := c.clientset.Discovery().ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return nil, fmt.Errorf("discover the cluster's resources: %w", err)
	}
	preferred := map[string]bool{}
	for _, g := range groups {
		preferred[g.PreferredVersion.GroupVersion] = true
	}
	candidates := map[schema.GroupVersion][]kind{}
	for _, list := range lists {
		gv, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil || !preferred[list.GroupVersion] || scheme.Scheme.IsGroupRegistered(gv.Group) {
			continue
		}
		if some := withStatus(gv, list.APIResources); len(some) > 0 {
			candidates[gv] = some
		}
	}
	var (
		all      []kind
		mu       sync.Mutex
		together errgroup.Group
	)
	together.SetLimit(schemasAtOnce)
	for gv, some := range candidates {
		together.Go(func() error {
			holders, err := c.holders(ctx, gv)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, k := range some {
				if holders[k.Kind] {
					all = append(all, k)
				}
			}
			return nil
		})
	}
	if err := together.Wait(); err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errNoOutboxes
	}
	slices.SortFunc(all, byRank)
	return all, nil
}

var errNoOutboxes = errors.New("no resource type of this cluster has an outbox: install the CustomResourceDefinitions (kubectl apply -k config/crd --server-side), or choose another cluster with --context")

// ranks put Holdfast's own kinds first, in the order in which a remediation makes them.
var ranks = map[string]int{"remediationrequests": 1, "aianalyses": 2, "workflowexecutions": 3, "notificationrequests": 4}

func byRank(a, b kind) int {
	rank := func(k kind) int {
		if n := ranks[k.Resource]; k.Group == ownGroup && n > 0 {
			return n
		}
		return len(ranks) + 1
	}
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	return strings.Compare(a.String(), b.String())
}

// withStatus are the resources of a group version that have a status.
func withStatus(gv schema.GroupVersion, resources []metav1.APIResource) []kind {
	has := map[string]bool{}
	for _, r := range resources {
		if name, ok := strings.CutSuffix(r.Name, "/status"); ok {
			has[name] = true
		}
	}
	var some []kind
	for _, r := range resources {
		if has[r.Name] && slices.Contains(r.Verbs, "list") {
			some = append(some, kind{GroupVersionResource: gv.WithResource(r.Name), Kind: r.Kind, singular: r.SingularName, namespaced: r.Namespaced})
		}
	}
	return some
}

// outboxFields are what an outbox's schema has, whatever it is embedded in.
var outboxFields = []string{"lastSequence", "persistedSequence", "headHash", "closed", "entries"}

// holders are the kinds of a group version whose schema has an outbox in its status.
func (c *cluster) holders(ctx context.Context, gv schema.GroupVersion) (map[string]bool, error) {
	text, err := raw(ctx, c.clientset.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis", gv.Group, gv.Version).SetHeader("Accept", "application/json"))
	if err != nil {
		return nil, fmt.Errorf("read the schemas of %s: %w", gv, err)
	}
	type object struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var document struct {
		Components struct {
			Schemas map[string]struct {
				object
				Kinds []metav1.GroupVersionKind `json:"x-kubernetes-group-version-kind"`
			} `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the schemas of %s: the answer is no OpenAPI document", gv)
	}
	holders := map[string]bool{}
	for _, s := range document.Components.Schemas {
		properties := s.Properties
		for _, name := range []string{"status", "outbox"} {
			var inner object
			if err := json.Unmarshal(properties[name], &inner); err != nil {
				inner.Properties = nil // none, or of another shape
			}
			properties = inner.Properties
		}
		if slices.ContainsFunc(outboxFields, func(f string) bool { return properties[f] == nil }) {
			continue
		}
		for _, k := range s.Kinds {
			if k.Group == gv.Group && k.Version == gv.Version {
				holders[k.Kind] = true
			}
		}
	}
	return holders, nil
}

// kindOf finds one type by what kubectl takes for it.
func (c *cluster) kindOf(name string) (kind, error) {
	if err := c.connect(); err != nil {
		return kind{}, err
	}
	mapper, err := c.config.ToRESTMapper()
	if err != nil {
		return kind{}, err
	}
	var gvk schema.GroupVersionKind
	full, partial := schema.ParseResourceArg(strings.ToLower(name))
	if full != nil {
		gvk, _ = mapper.KindFor(*full) // else it is resource.group
	}
	if gvk.Empty() {
		if gvk, err = mapper.KindFor(partial.WithVersion("")); err != nil {
			return kind{}, c.noKind(name, err)
		}
	}
	if !strings.Contains(gvk.Group, ".") { // the API server allows no such group in a CustomResourceDefinition
		return kind{}, fmt.Errorf("KIND is %q, a kind of Kubernetes itself, which has no outbox; `%s` shows the kinds that have one", name, c.verb("list -A"))
	}
	m, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return kind{}, err
	}
	singular, err := mapper.ResourceSingularizer(m.Resource.Resource)
	if err != nil {
		return kind{}, err
	}
	return kind{GroupVersionResource: m.Resource, Kind: gvk.Kind, singular: singular, namespaced: m.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

func (c *cluster) noKind(name string, err error) error {
	if !meta.IsNoMatchError(err) {
		return err
	}
	if kindName, _, ok := strings.Cut(name, "/"); ok && kindName != "" {
		return fmt.Errorf("KIND is %q, expected a kind without a name: `%s` lists all, `%s` shows one", name, c.verb("list "+kindName), c.verb("entries "+name))
	}
	return fmt.Errorf("KIND is %q, which the cluster does not serve; `%s` shows the kinds with an outbox; if it is one of Holdfast's, install the CustomResourceDefinitions (kubectl apply -k config/crd --server-side)",
		name, c.verb("list -A"))
}

// chosen are the kinds that a verb looks at: those that are named, else all.
func (c *cluster) chosen(ctx context.Context, names []string) ([]kind, error) {
	if len(names) == 0 {
		return c.kinds(ctx)
	}
	all := map[schema.GroupVersionResource]kind{}
	for _, name := range names {
		for _, one := range strings.Split(name, ",") {
			k, err := c.kindOf(one)
			if err != nil {
				return nil, err
			}
			all[k.GroupVersionResource] = k
		}
	}
	return slices.SortedFunc(maps.Values(all), byRank), nil
}
