// Package controller computes Digests, with an informer and a workqueue.
package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"

	digestsv1 "example.com/digest-controller/api/v1"
	"example.com/digest-controller/clientset"
)

// Controller computes Digests.
type Controller struct {
	kube     kubernetes.Interface
	digests  *clientset.Clientset
	informer cache.SharedIndexInformer
	queue    workqueue.TypedRateLimitingInterface[cache.ObjectName]
}

// New makes a Controller.
func New(kube kubernetes.Interface, digests *clientset.Clientset) (*Controller, error) {
	c := &Controller{
		kube:    kube,
		digests: digests,
		informer: cache.NewSharedIndexInformer(&cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				return digests.Digests(metav1.NamespaceAll).List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				return digests.Digests(metav1.NamespaceAll).Watch(ctx, o)
			},
		}, &digestsv1.Digest{}, 0, nil),
		queue: workqueue.NewTypedRateLimitingQueue(
			workqueue.NewTypedItemExponentialFailureRateLimiter[cache.ObjectName](50*time.Millisecond, 10*time.Second)),
	}
	_, err := c.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    c.enqueue,
		UpdateFunc: func(_, obj any) { c.enqueue(obj) },
	})
	return c, err
}

func (c *Controller) enqueue(obj any) {
	if name, err := cache.ObjectToName(obj); err == nil {
		c.queue.Add(name)
	}
}

// Run works until ctx ends.
func (c *Controller) Run(ctx context.Context) error {
	defer utilruntime.HandleCrash()
	go c.informer.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), c.informer.HasSynced) {
		return fmt.Errorf("wait for the cache: %w", ctx.Err())
	}
	go wait.UntilWithContext(ctx, c.work, time.Second)
	<-ctx.Done()
	c.queue.ShutDown()
	return nil
}

func (c *Controller) work(ctx context.Context) {
	for {
		name, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		if err := c.sync(ctx, name); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "Sync failed", "digest", name)
			c.queue.AddRateLimited(name)
		} else {
			c.queue.Forget(name)
		}
		c.queue.Done(name)
	}
}

// sync moves one Digest forward.
func (c *Controller) sync(ctx context.Context, name cache.ObjectName) error {
	cached, exists, err := c.informer.GetStore().GetByKey(name.String())
	if err != nil || !exists {
		return err
	}
	digest := cached.(*digestsv1.Digest).DeepCopy()
	if digest.DeletionTimestamp != nil {
		return nil
	}
	if digest.Status.Phase == "Done" {
		return nil
	}

	source, err := c.kube.CoreV1().ConfigMaps(name.Namespace).Get(ctx, digest.Spec.ConfigMap, metav1.GetOptions{})
	if err != nil {
		if apierrors.IsNotFound(err) && digest.Status.Phase == "Waiting" {
			return err
		}
		digest.Status.Phase, digest.Status.Error = "Waiting", err.Error()
		if _, saveErr := c.save(ctx, digest); saveErr != nil {
			return saveErr
		}
		return err
	}
	digest.Status.Phase, digest.Status.Error = "Running", ""
	if digest, err = c.save(ctx, digest); err != nil {
		return err
	}
	digest.Status.Phase, digest.Status.SHA256 = "Done", sum(source)
	_, err = c.save(ctx, digest)
	return err
}

// save writes the status, and returns what the API server has then.
func (c *Controller) save(ctx context.Context, digest *digestsv1.Digest) (*digestsv1.Digest, error) {
	return c.digests.Digests(digest.Namespace).UpdateStatus(ctx, digest, metav1.UpdateOptions{})
}

func sum(source *corev1.ConfigMap) string {
	text, err := json.Marshal([]any{source.Data, source.BinaryData})
	if err != nil {
		panic(err) // maps of strings and bytes always encode
	}
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
