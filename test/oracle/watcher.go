package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
)

// pause between two attempts to reach the API server.
const pause = 100 * time.Millisecond

// watcher follows one kind.
type watcher struct {
	oracle *Oracle
	client dynamic.NamespaceableResourceInterface
	kind   schema.GroupVersionResource
	name   string // of the kind in its objects, such as AIAnalysis
	// version is the revision up to which everything was seen.
	version string
}

func (w *watcher) begin(ctx context.Context) error {
	list, err := w.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	w.name = strings.TrimSuffix(list.GetKind(), "List")
	w.oracle.replace(w.name, list.Items)
	w.version = list.GetResourceVersion()
	return nil
}

func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		err := w.follow(ctx)
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			err = w.catchUp(ctx)
		}
		if err != nil { // the API server is away: it comes back, or ctx ends
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
}

// follow watches from the last version on until the watch ends.
func (w *watcher) follow(ctx context.Context) error {
	stream, err := w.client.Watch(ctx, metav1.ListOptions{ResourceVersion: w.version, AllowWatchBookmarks: true})
	if err != nil {
		return err
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		if event.Type == watch.Error {
			return apierrors.FromObject(event.Object)
		}
		object, ok := event.Object.(*unstructured.Unstructured)
		if !ok {
			return fmt.Errorf("the watch brought a %T", event.Object)
		}
		if event.Type != watch.Bookmark {
			w.oracle.observe(object, event.Type == watch.Deleted)
		}
		w.version = object.GetResourceVersion()
	}
	return nil
}

// catchUp reads the revisions that the watch can no longer bring: each as a list of everything as it was then. A revision shows what an
// entry looked like before it was trimmed, and a resource before it was deleted.
func (w *watcher) catchUp(ctx context.Context) error {
	now, err := w.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	from, err := strconv.ParseUint(w.version, 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion of %s: %w", w.kind.Resource, err)
	}
	to, err := strconv.ParseUint(now.GetResourceVersion(), 10, 64)
	if err != nil {
		return fmt.Errorf("resourceVersion of %s: %w", w.kind.Resource, err)
	}
	for revision := from + 1; revision < to; revision++ {
		exactly := strconv.FormatUint(revision, 10)
		then, err := w.client.List(ctx, metav1.ListOptions{ResourceVersion: exactly, ResourceVersionMatch: metav1.ResourceVersionMatchExact})
		if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
			w.oracle.gap(w.name, exactly, now.GetResourceVersion(), err)
			break
		}
		if err != nil {
			return err
		}
		w.oracle.replace(w.name, then.Items)
		w.version = exactly
	}
	w.oracle.replace(w.name, now.Items)
	w.version = now.GetResourceVersion()
	return nil
}

func (w *watcher) caughtUp(ctx context.Context) error {
	list, err := w.client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("list %s: %w", w.kind.Resource, err)
	}
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	there := map[string]bool{}
	for i := range list.Items {
		object := &list.Items[i]
		there[string(object.GetUID())] = true
		if r := w.oracle.resources[string(object.GetUID())]; r == nil || r.version != object.GetResourceVersion() {
			return fmt.Errorf("the watch is behind: revision %s of %s %s/%s was not seen yet", object.GetResourceVersion(), w.name, object.GetNamespace(), object.GetName())
		}
	}
	for uid, r := range w.oracle.resources {
		if r.kind == w.name && !r.gone && !there[uid] {
			return fmt.Errorf("the watch is behind: the end of %s %s/%s was not seen yet", w.name, r.namespace, r.name)
		}
	}
	return nil
}
