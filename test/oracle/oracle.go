package oracle

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// Kinds are Holdfast's own four, which are always watched.
func Kinds() []schema.GroupVersionResource {
	var kinds []schema.GroupVersionResource
	for _, plural := range []string{"remediationrequests", "aianalyses", "workflowexecutions", "notificationrequests"} {
		kinds = append(kinds, schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: plural})
	}
	return kinds
}

// Oracle watches. Its methods may be called from several goroutines.
type Oracle struct {
	watchers []*watcher
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu        sync.Mutex // guards what follows
	resources map[string]*resource
	gaps      []Difference
}

// Start reads what is there of the four kinds and of those given, and returns; from then on nothing escapes it. Stop when done.
func Start(ctx context.Context, config *rest.Config, more ...schema.GroupVersionResource) (*Oracle, error) {
	config = rest.CopyConfig(config)
	config.QPS = -1 // a list a revision, after a gap
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("oracle: %w", err)
	}
	o := &Oracle{resources: map[string]*resource{}}
	for _, kind := range append(Kinds(), more...) {
		w := &watcher{oracle: o, client: client.Resource(kind), kind: kind}
		if err := w.begin(ctx); err != nil {
			return nil, fmt.Errorf("oracle: list %s: %w", kind.Resource, err)
		}
		o.watchers = append(o.watchers, w)
	}
	ctx, o.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, w := range o.watchers {
		o.running.Go(func() { w.run(ctx) })
	}
	return o, nil
}

// Stop ends the watches. What was seen stays, and may be judged.
func (o *Oracle) Stop() {
	o.cancel()
	o.running.Wait()
}

// Appended is how many entries were appended so far in some namespaces or, if none is named, everywhere.
func (o *Oracle) Appended(namespaces ...string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum := 0
	for _, r := range o.resources {
		if len(namespaces) == 0 || slices.Contains(namespaces, r.namespace) {
			sum += int(r.last)
		}
	}
	return sum
}

// IDs are those of the entries that were appended so far, in some namespaces or everywhere.
func (o *Oracle) IDs(namespaces ...string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	for _, r := range o.resources {
		if len(namespaces) == 0 || slices.Contains(namespaces, r.namespace) {
			for sequence := int64(1); sequence <= r.last; sequence++ {
				ids = append(ids, r.id(sequence))
			}
		}
	}
	return ids
}

// Held are the ids of the entries that stand in resources, in a namespace.
func (o *Oracle) Held(namespace string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var ids []string
	for _, r := range o.resources {
		if r.namespace != namespace || r.gone {
			continue
		}
		for sequence := r.last - int64(r.listed) + 1; sequence <= r.last; sequence++ {
			ids = append(ids, r.id(sequence))
		}
	}
	return ids
}

// CaughtUp returns nil when the oracle has seen the newest revision of everything that is there, and knows what is gone. Poll it before Judge.
func (o *Oracle) CaughtUp(ctx context.Context) error {
	for _, w := range o.watchers {
		if err := w.caughtUp(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (o *Oracle) observe(object *unstructured.Unstructured, gone bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	uid := string(object.GetUID())
	r := o.resources[uid]
	if r == nil {
		r = newResource(object)
		o.resources[uid] = r
	}
	if r.version != object.GetResourceVersion() {
		r.observe(object)
	}
	r.gone = gone
}

// replace takes a list of one kind: what is not on it is gone.
func (o *Oracle) replace(kind string, items []unstructured.Unstructured) {
	there := map[string]bool{}
	for i := range items {
		o.observe(&items[i], false)
		there[string(items[i].GetUID())] = true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for uid, r := range o.resources {
		if r.kind == kind && !there[uid] {
			r.gone = true
		}
	}
}

func (o *Oracle) gap(kind, from, to string, why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.gaps = append(o.gaps, Difference{Class: Gap, Kind: kind, Detail: fmt.Sprintf("revisions %s to %s can't be read any more, what was appended and taken away there is unknown: %v", from, to, why)})
}
