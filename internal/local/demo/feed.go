package demo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	toolswatch "k8s.io/client-go/tools/watch"
)

// kind is one of the four kinds.
type kind struct {
	name     string // as in status and messages
	resource string
}

var kinds = []kind{
	{"RemediationRequest", "remediationrequests"},
	{"AIAnalysis", "aianalyses"},
	{"WorkflowExecution", "workflowexecutions"},
	{"NotificationRequest", "notificationrequests"},
}

var group = schema.GroupVersion{Group: "holdfast.dev", Version: "v1alpha1"}

// observer is told of every committed version of every resource, one after the other, and of its deletion with its last version.
type observer func(k kind, object *unstructured.Unstructured, deleted bool)

// feed watches the four kinds in all namespaces. A watch brings every version that etcd holds, in order; when a connection ends it goes on after the last
// version that came. If the API server no longer has that version, something may have been missed, and the feed fails.
type feed struct {
	observers []observer

	mu      sync.Mutex // one version at a time
	live    map[string]*unstructured.Unstructured
	changed chan struct{} // closed at each change, and replaced
	err     error

	client *dynamic.DynamicClient
	done   sync.WaitGroup
	stop   context.CancelFunc
}

// startFeed lists what is there and watches from then on, until close.
func startFeed(ctx context.Context, cfg *rest.Config, observers ...observer) (*feed, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("watch the resources: %w", err)
	}
	f := &feed{observers: observers, live: map[string]*unstructured.Unstructured{}, changed: make(chan struct{}), client: client}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	for _, k := range kinds {
		if err := f.watch(ctx, k); err != nil {
			f.close()
			return nil, fmt.Errorf("watch %s: %w", k.resource, err)
		}
	}
	return f, nil
}

func (f *feed) close() {
	f.stop()
	f.done.Wait()
}

func (f *feed) watch(ctx context.Context, k kind) error {
	of := f.client.Resource(group.WithResource(k.resource))
	list, err := of.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		f.take(k, &list.Items[i], false)
	}
	w, err := toolswatch.NewRetryWatcherWithContext(ctx, list.GetResourceVersion(), watcher{of})
	if err != nil {
		return err
	}
	f.done.Go(func() {
		defer w.Stop()
		for event := range w.ResultChan() {
			f.receive(k, event)
		}
		if ctx.Err() == nil {
			f.fail(fmt.Errorf("the watch of %s has ended", k.resource))
		}
	})
	return nil
}

func (f *feed) receive(k kind, event watch.Event) {
	switch event.Type {
	case watch.Added, watch.Modified, watch.Deleted:
		if object, ok := event.Object.(*unstructured.Unstructured); ok {
			f.take(k, object, event.Type == watch.Deleted)
		}
	case watch.Error:
		f.fail(fmt.Errorf("the watch of %s: %w", k.resource, apierrors.FromObject(event.Object)))
	}
}

func (f *feed) take(k kind, object *unstructured.Unstructured, deleted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := k.name + "/" + object.GetNamespace() + "/" + object.GetName()
	if deleted {
		delete(f.live, key)
	} else {
		f.live[key] = object
	}
	for _, o := range f.observers {
		o(k, object, deleted)
	}
	f.announce()
}

func (f *feed) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = errors.Join(f.err, err)
	f.announce()
}

func (f *feed) announce() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// get returns the resource as it was last seen, or nil.
func (f *feed) get(kind, namespace, name string) *unstructured.Unstructured {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.live[kind+"/"+namespace+"/"+name]
}

// all returns the resources as they were last seen.
func (f *feed) all() []*unstructured.Unstructured {
	f.mu.Lock()
	defer f.mu.Unlock()
	objects := make([]*unstructured.Unstructured, 0, len(f.live))
	for _, o := range f.live {
		objects = append(objects, o)
	}
	return objects
}

// await returns when check says so, or that it is in vain. It asks at each change; state is for the error when the time is over.
func (f *feed) await(ctx context.Context, what string, check func() (ok bool, state string, err error)) error {
	timer := time.NewTimer(phaseTimeout)
	defer timer.Stop()
	for {
		f.mu.Lock()
		changed, broken := f.changed, f.err
		f.mu.Unlock()
		ok, state, err := check()
		switch {
		case broken != nil || err != nil:
			return fmt.Errorf("wait until %s: %w", what, errors.Join(broken, err))
		case ok:
			return nil
		}
		select {
		case <-changed:
		case <-timer.C:
			return fmt.Errorf("wait until %s: not after %s; it is: %s", what, phaseTimeout, state)
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		}
	}
}

// watcher is the part of a client that RetryWatcher needs.
type watcher struct{ of dynamic.ResourceInterface }

func (w watcher) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return w.of.Watch(ctx, o)
}
