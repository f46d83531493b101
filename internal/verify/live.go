package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/pager"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Live is where the resources are.
type Live interface {
	// List returns every resource that has an outbox, by uid, and notes on kinds that could not be listed.
	List(ctx context.Context) (map[string]*Resource, []string, error)
	// Get reads the resource that has entries of this kind; nil if there is none of that name.
	Get(ctx context.Context, kind, namespace, name string) (*Resource, error)
	// Knows reports whether List and Get look at the resources that have entries of this kind.
	Knows(kind string) bool
}

// Resource is what a live resource's outbox says.
type Resource struct {
	// Kind of its entries.
	Kind                            string
	Namespace, Name, UID            string
	LastSequence, PersistedSequence int64
	HeadHash                        string
	// Entries are the hashes of the entries that it still holds, by sequence.
	Entries map[int64]string
	// Remediations are those that the records of these entries belong to.
	Remediations []string

	met bool
}

// hashAt is the hash of the entry at a sequence, if the resource still tells.
func (r *Resource) hashAt(sequence int64) (string, bool) {
	if sequence == r.LastSequence {
		return r.HeadHash, true
	}
	hash, ok := r.Entries[sequence]
	return hash, ok
}

// Resources says which resource has entries of which kind.
type Resources map[string]schema.GroupVersionResource

// DefaultResources are Holdfast's own.
func DefaultResources() Resources {
	ours := func(resource string) schema.GroupVersionResource {
		return schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: resource}
	}
	return Resources{
		entry.KindOrchestration: ours("remediationrequests"),
		entry.KindAIDecision:    ours("aianalyses"),
		entry.KindExecution:     ours("workflowexecutions"),
		entry.KindNotification:  ours("notificationrequests"),
	}
}

// Sorted are the resources, by name.
func (r Resources) Sorted() []schema.GroupVersionResource {
	return slices.SortedFunc(maps.Values(r), func(a, b schema.GroupVersionResource) int { return strings.Compare(a.String(), b.String()) })
}

// Parse adds KIND=RESOURCE.VERSION.GROUP, as in backups.example.com=backups.v1.backups.example.com.
func (r Resources) Parse(s string) error {
	kind, name, ok := strings.Cut(s, "=")
	gvr, _ := schema.ParseResourceArg(name)
	if !ok || gvr == nil || !entry.KnownKind(kind) {
		return fmt.Errorf("resource is %q, expected KIND=RESOURCE.VERSION.GROUP, as in backups.example.com=backups.v1.backups.example.com", s)
	}
	r[kind] = *gvr
	return nil
}

// cluster is Live over the API.
type cluster struct {
	client    dynamic.Interface
	resources Resources
	// absent are kinds that the API server does not serve.
	absent map[string]bool
}

// Cluster looks at the resources of a cluster. It needs list and get on them.
func Cluster(config *rest.Config, resources Resources) (Live, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("create a cluster client: %w", err)
	}
	return &cluster{client: client, resources: resources, absent: map[string]bool{}}, nil
}

func (c *cluster) Knows(kind string) bool {
	_, ok := c.resources[kind]
	return ok && !c.absent[kind]
}

// listPage bounds what is in memory at a time: a resource may have a megabyte.
const listPage = 50

func (c *cluster) List(ctx context.Context) (map[string]*Resource, []string, error) {
	all := map[string]*Resource{}
	var notes []string
	for kind, gvr := range c.resources {
		err := c.list(ctx, gvr, func(r *Resource) {
			r.Kind = kind
			all[r.UID] = r
		})
		switch {
		case apierrors.IsNotFound(err):
			c.absent[kind] = true
			notes = append(notes, fmt.Sprintf("the cluster does not serve %s; resources with entries of kind %s were not checked", gvr.GroupResource(), kind))
		case err != nil:
			return nil, nil, fmt.Errorf("%s: %w", gvr.GroupResource(), err)
		}
	}
	return all, notes, nil
}

func (c *cluster) list(ctx context.Context, gvr schema.GroupVersionResource, each func(*Resource)) error {
	pages := pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
		return c.client.Resource(gvr).List(ctx, o)
	})
	pages.PageSize = listPage
	pages.PageBufferSize = 1
	return pages.EachListItem(ctx, metav1.ListOptions{}, func(o runtime.Object) error {
		r, err := resourceOf(o.(*unstructured.Unstructured))
		if r != nil {
			each(r)
		}
		return err
	})
}

func (c *cluster) Get(ctx context.Context, kind, namespace, name string) (*Resource, error) {
	o, err := c.client.Resource(c.resources[kind]).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	r, err := resourceOf(o)
	if r == nil && err == nil {
		r = &Resource{UID: string(o.GetUID())}
	}
	return r, err
}

// resourceOf reads status.outbox; nil if there is none.
func resourceOf(o *unstructured.Unstructured) (*Resource, error) {
	content, found, err := unstructured.NestedMap(o.Object, "status", "outbox")
	if err != nil || !found {
		return nil, err
	}
	var box outboxapi.Outbox
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, &box); err != nil {
		return nil, fmt.Errorf("read status.outbox of %s/%s: %w", o.GetNamespace(), o.GetName(), err)
	}
	if box.IsZero() { // the API server shows one on every resource
		return nil, nil
	}
	r := &Resource{
		Namespace: o.GetNamespace(), Name: o.GetName(), UID: string(o.GetUID()),
		LastSequence: box.LastSequence, PersistedSequence: box.PersistedSequence, HeadHash: box.HeadHash,
	}
	for i, p := 0, entry.PendingOf(o.GetUID(), &box); i < p.Len(); i++ {
		if r.Entries == nil {
			r.Entries = map[int64]string{}
		}
		r.Entries[p.Sequence(i)] = p.Hash(i)
		e, _ := entry.Decode([]byte(p.Text(i))) // as far as it can be read
		var record struct {
			RemediationID string `json:"remediation_id"`
		}
		if json.Unmarshal(e.Record, &record) == nil && record.RemediationID != "" && !slices.Contains(r.Remediations, record.RemediationID) {
			r.Remediations = append(r.Remediations, record.RemediationID)
		}
	}
	return r, nil
}
