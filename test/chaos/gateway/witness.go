//go:build unix

package gateway

import (
	"context"
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

var requests = schema.GroupVersionResource{Group: "holdfast.dev", Version: "v1alpha1", Resource: "remediationrequests"}

// seen is a request as the witness saw it last.
type seen struct {
	namespace, name, target string
	ended                   time.Time // zero while it is open
}

// witness has every request, and what must not be.
type witness struct {
	mu       sync.Mutex
	all      map[string]seen // by namespace/name
	findings []string
	promises []promise
	of       dynamic.ResourceInterface
	stop     context.CancelFunc
	done     sync.WaitGroup
}

func newWitness(ctx context.Context, cfg *rest.Config) (*witness, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	w := &witness{all: map[string]seen{}, of: client.Resource(requests)}
	from, err := w.list(ctx)
	if err != nil {
		return nil, err
	}
	ctx, w.stop = context.WithCancel(context.WithoutCancel(ctx))
	w.done.Go(func() { w.follow(ctx, from) })
	return w, nil
}

// follow takes every change after a version. Where the API server no longer knows what came before, as after etcd was killed, it begins with a list again.
func (w *witness) follow(ctx context.Context, from string) {
	for ctx.Err() == nil {
		versions, err := toolswatch.NewRetryWatcherWithContext(ctx, from, w)
		if err != nil {
			w.find("the watch of the witness: %v", err)
			return
		}
		for event := range versions.ResultChan() {
			w.take(event)
		}
		versions.Stop()
		for from, err = w.list(ctx); err != nil && ctx.Err() == nil; from, err = w.list(ctx) {
			pause(ctx, 50*time.Millisecond) // the API server is away
		}
	}
}

// list takes every request as it is, forgets the others, and returns the version of that.
func (w *witness) list(ctx context.Context) (version string, err error) {
	list, err := w.of.List(ctx, metav1.ListOptions{})
	if err != nil {
		return "", fmt.Errorf("list the requests: %w", err)
	}
	w.mu.Lock() // nobody looks while some are missing
	defer w.mu.Unlock()
	clear(w.all)
	for i := range list.Items {
		w.takeLocked(watch.Modified, &list.Items[i])
	}
	return list.GetResourceVersion(), nil
}

// WatchWithContext is what a RetryWatcher needs.
func (w *witness) WatchWithContext(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
	return w.of.Watch(ctx, o)
}

func (w *witness) close() {
	w.stop()
	w.done.Wait()
}

func (w *witness) find(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.findings = append(w.findings, fmt.Sprintf(format, args...))
}

func (w *witness) take(event watch.Event) {
	o, ok := event.Object.(*unstructured.Unstructured)
	if !ok {
		if err := apierrors.FromObject(event.Object); apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			return // follow lists
		}
		w.find("the watch of the witness failed: %v", apierrors.FromObject(event.Object))
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.takeLocked(event.Type, o)
}

func (w *witness) takeLocked(change watch.EventType, o *unstructured.Unstructured) {
	s := seen{namespace: o.GetNamespace(), name: o.GetName()}
	s.target, _, _ = unstructured.NestedString(o.Object, "spec", "target", "name")
	if completed, _, _ := unstructured.NestedString(o.Object, "status", "completedTime"); completed != "" {
		s.ended, _ = time.Parse(time.RFC3339Nano, completed)
	}
	w.all[s.namespace+"/"+s.name] = s
	if change == watch.Deleted {
		delete(w.all, s.namespace+"/"+s.name)
	}
	if open := w.openLocked(s.namespace, s.target); len(open) > 1 {
		w.findings = append(w.findings, fmt.Sprintf("workload %s/%s has %d open requests: %v", s.namespace, s.target, len(open), open))
	}
}

func (w *witness) openLocked(namespace, target string) (names []string) {
	for _, s := range w.all {
		if s.namespace == namespace && s.target == target && s.ended.IsZero() {
			names = append(names, s.name)
		}
	}
	return names
}

// open are the open requests of a workload.
func (w *witness) open(namespace, target string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.openLocked(namespace, target)
}

// covers reports whether a workload has a request that is open, or ended after an alert began.
func (w *witness) covers(namespace, target string, began time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.all {
		if s.namespace == namespace && s.target == target && (s.ended.IsZero() || s.ended.After(began)) {
			return true
		}
	}
	return false
}

// promise is an alert that was answered 200.
type promise struct {
	namespace string
	sent
}

func (w *witness) promise(namespace string, alerts []sent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range alerts {
		w.promises = append(w.promises, promise{namespace, a})
	}
}

// redeem looks for the request of every alert that was answered 200. All of them were committed before the answer, and the watch has come past them.
func (w *witness) redeem() {
	w.mu.Lock()
	all := w.promises
	w.promises = nil
	w.mu.Unlock()
	for _, p := range all {
		if !w.covers(p.namespace, p.workload, p.began) {
			w.find("an alert of %s that began at %s was answered 200, and no request of it is open or ended later", p.workload, p.began.Format(time.RFC3339Nano))
		}
	}
}

// found are the findings, and forgets them.
func (w *witness) found() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.findings
	w.findings = nil
	return all
}
