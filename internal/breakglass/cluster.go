package breakglass

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/pager"

	"github.com/holdfast-dev/holdfast/internal/apiserver"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Cluster is where the resources are.
type Cluster struct {
	Server string

	client dynamic.Interface
	mapper meta.RESTMapper
}

// Resource is one as it was read. Outbox is nil where it has none.
type Resource struct {
	Kind     string
	Source   entry.Source
	Outbox   *outboxapi.Outbox
	Deleting bool

	gvr             schema.GroupVersionResource
	resourceVersion string
	finalizers      []string
}

// String is what people type: remediationrequests/cart-crash, and its namespace.
func (r *Resource) String() string {
	return fmt.Sprintf("%s/%s in %s", r.gvr.Resource, r.Source.Name, r.Source.Namespace)
}

// Type is RESOURCE.VERSION.GROUP.
func (r *Resource) Type() string {
	return strings.Join([]string{r.gvr.Resource, r.gvr.Version, r.gvr.Group}, ".")
}

// HasFinalizer reports whether the outbox's finalizer is there.
func (r *Resource) HasFinalizer() bool { return slices.Contains(r.finalizers, outbox.Finalizer) }

// Connect makes no call.
func Connect(config *rest.Config) (*Cluster, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a cluster client: %w", err)
	}
	d, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a cluster client: %w", err)
	}
	cached := memory.NewMemCacheClient(d)
	mapper := restmapper.NewShortcutExpander(restmapper.NewDeferredDiscoveryRESTMapper(cached), cached, nil)
	return &Cluster{Server: config.Host, client: client, mapper: mapper}, nil
}

// Resolve finds a resource by what kubectl takes for it: plural, singular, short name, or RESOURCE.VERSION.GROUP.
func (c *Cluster) Resolve(name string) (schema.GroupVersionResource, error) {
	full, partial := schema.ParseResourceArg(strings.ToLower(name))
	if full != nil {
		if gvr, err := c.mapper.ResourceFor(*full); err == nil {
			return gvr, nil
		}
	}
	gvr, err := c.mapper.ResourceFor(partial.WithVersion(""))
	if err != nil {
		return gvr, fmt.Errorf("find resource type %q: %w", name, err)
	}
	return gvr, nil
}

// listPage bounds what is in memory at a time: a resource may have a megabyte.
const listPage = 50

// Each hands all resources of the types to visit, of one namespace or ("") of all. A type that the cluster does not serve is named in absent.
func (c *Cluster) Each(ctx context.Context, of []schema.GroupVersionResource, namespace string, visit func(*Resource) error) (absent []string, _ error) {
	for _, gvr := range of {
		pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			return c.client.Resource(gvr).Namespace(namespace).List(ctx, o)
		})
		pages.PageSize, pages.PageBufferSize = listPage, 1
		err := pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
			r, err := resourceOf(gvr, o.(*unstructured.Unstructured))
			if err != nil {
				return err
			}
			return visit(r)
		})
		switch {
		case apierrors.IsNotFound(err):
			absent = append(absent, gvr.GroupResource().String())
		case err != nil:
			return nil, fmt.Errorf("list %s: %w", gvr.GroupResource(), err)
		}
	}
	return absent, nil
}

// Get reads one resource.
func (c *Cluster) Get(ctx context.Context, gvr schema.GroupVersionResource, namespace, name string) (*Resource, error) {
	o, err := c.client.Resource(gvr).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read %s/%s in %s: %w", gvr.Resource, name, namespace, err)
	}
	return resourceOf(gvr, o)
}

func resourceOf(gvr schema.GroupVersionResource, o *unstructured.Unstructured) (*Resource, error) {
	r := &Resource{
		Kind: o.GetKind(), Source: entry.SourceOf(o), Deleting: o.GetDeletionTimestamp() != nil,
		gvr: gvr, resourceVersion: o.GetResourceVersion(), finalizers: o.GetFinalizers(),
	}
	content, found, err := unstructured.NestedMap(o.Object, "status", "outbox")
	if err != nil || !found {
		return r, err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("read status.outbox of %s: %w", r, err)
	}
	if err := json.Unmarshal(text, &r.Outbox); err != nil {
		return nil, fmt.Errorf("read status.outbox of %s: %w", r, err)
	}
	return r, nil
}

// ErrChanged says that a resource is not what it was when it was read. It was left alone.
var ErrChanged = errors.New("the resource changed after the export, so it keeps its finalizer; run the command again")

// ErrKept says that an admission policy put the finalizer back, since the record is open and the resource is not being deleted.
var ErrKept = errors.New("the admission policy holdfast-finalizer keeps the finalizer while the record is open; delete the resource first, or remove the policy (kubectl delete mutatingadmissionpolicybinding holdfast-finalizer)")

// maxRemoved bounds the places at which one patch removes the finalizer: the API server takes no patch of more than 10,000 operations.
const maxRemoved = 100

// Release takes the outbox's finalizer off a resource, if it still is what was read. One that is gone is released.
func (c *Cluster) Release(ctx context.Context, r *Resource) error {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value,omitempty"`
	}
	unchanged := operation{"test", "/metadata/resourceVersion", r.resourceVersion}
	if r.Outbox != nil { // a label is no reason to begin again
		unchanged = operation{"test", "/status/outbox/headHash", r.Outbox.HeadHash}
	}
	operations := []operation{{"test", "/metadata/uid", r.Source.UID}, unchanged}
	// From behind, so that the places before stay as they are. Somebody may have written it more than once.
	for at, left := len(r.finalizers)-1, maxRemoved; at >= 0 && left > 0; at-- {
		if r.finalizers[at] == outbox.Finalizer {
			place := fmt.Sprintf("/metadata/finalizers/%d", at)
			operations = append(operations, operation{"test", place, outbox.Finalizer}, operation{Op: "remove", Path: place})
			left--
		}
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("release %s: %w", r, err)
	}
	released, err := c.client.Resource(r.gvr).Namespace(r.Source.Namespace).Patch(ctx, r.Source.Name, types.JSONPatchType, patch, metav1.PatchOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case apiserver.FailedTest(err) || apierrors.IsConflict(err):
		return fmt.Errorf("release %s: %w", r, ErrChanged)
	case err != nil:
		return fmt.Errorf("release %s: %w", r, err)
	case slices.Contains(released.GetFinalizers(), outbox.Finalizer):
		if r.Outbox != nil && r.Outbox.Closed {
			return fmt.Errorf("release %s: you need the verb delete or release on the resource: %w", r, ErrKept)
		}
		return fmt.Errorf("release %s: %w", r, ErrKept)
	}
	return nil
}
