//go:build unix

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

const (
	// workTime bounds the jobs of a schedule, whatever happens to the servers meanwhile.
	workTime = 4 * time.Minute
	// stall is how long a moment is waited for while no entry is appended.
	stall = time.Second
	// look is how often something is looked at.
	look = 20 * time.Millisecond
	// retry is how long to wait after a request that failed: some server is away.
	retry = 100 * time.Millisecond
)

// target is a Deployment that never becomes available, since nobody runs its pods.
const target = "cart"

// stage is a schedule's namespace, with the accounts and the target that its jobs need.
type stage struct {
	*world
	namespace string
	me        string // user name of this process

	mu     sync.Mutex
	counts map[string]int // what jobs did, by the names of faults
	made   int            // by faults, see unique

	began time.Time
	// longest is how long a recovery took, see durable.
	longest time.Duration
	// forfeited is what the oracle found lost in the end, as was foreseen.
	forfeited []oracle.Difference
}

func (w *world) newStage(ctx context.Context, s *schedule) (*stage, error) {
	st := &stage{world: w, counts: map[string]int{}, began: time.Now()}
	w.stage = st
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: fmt.Sprintf("chaos-%d-", s.number)}}
	review := &authenticationv1.SelfSubjectReview{}
	for _, o := range []client.Object{ns, review} {
		if err := w.client.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("set the stage: %w", err)
		}
	}
	st.namespace, st.me = ns.Name, review.Status.UserInfo.Username
	labels := map[string]string{"app": target}
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "remediator"}},
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: target}, Spec: appsv1.DeploymentSpec{
			Replicas: ptr.To[int32](1), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/cart:v1"}}}},
		}},
	} {
		o.SetNamespace(st.namespace)
		if err := w.client.Create(ctx, o); err != nil {
			return nil, fmt.Errorf("set the stage: %w", err)
		}
	}
	return st, nil
}

func (s *stage) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[what]++
}

// moment waits until so many entries were appended in the namespace, or until nothing moves any more.
func (s *stage) moment(ctx context.Context, after int) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	last, moved := 0, time.Now()
	for time.Since(moved) < stall {
		now := s.oracle.Appended(s.namespace)
		if now >= after {
			return
		}
		if now > last {
			last, moved = now, time.Now()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// persist repeats a request until the API server has answered it. It reports whether there is still something to do: a namespace that is going, or a
// resource that is gone, ends a job without an error. What else the API server refuses is an error.
func (s *stage) persist(ctx context.Context, request func(context.Context) error) (bool, error) {
	for {
		err := request(ctx)
		switch {
		case err == nil:
			return true, nil
		case apierrors.IsNotFound(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
			return false, nil
		case apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			return false, err
		case ctx.Err() != nil:
			return false, fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
		pass(ctx, retry)
	}
}

func (s *stage) create(ctx context.Context, o client.Object) (bool, error) {
	return s.persist(ctx, func(ctx context.Context) error {
		err := s.client.Create(ctx, o)
		if apierrors.IsAlreadyExists(err) { // the reply to the first attempt was lost
			return s.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		}
		return err
	})
}

func (s *stage) patch(ctx context.Context, o client.Object, patch string) (bool, error) {
	return s.persist(ctx, func(ctx context.Context) error {
		return s.client.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(patch)))
	})
}

func (s *stage) delete(ctx context.Context, o client.Object) (bool, error) {
	return s.persist(ctx, func(ctx context.Context) error { return s.client.Delete(ctx, o) })
}

// gone waits until a resource with this uid is no longer there.
func (s *stage) gone(ctx context.Context, o client.Object) error {
	uid := o.GetUID()
	for ctx.Err() == nil {
		err := s.client.Get(ctx, client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) || err == nil && o.GetUID() != uid {
			return nil
		}
		pass(ctx, retry)
	}
	return fmt.Errorf("%T %s is still there: %w", o, o.GetName(), context.Cause(ctx))
}

// endNamespace deletes a namespace and what is in it, as the namespace controller does, which does not run here.
func (s *stage) endNamespace(ctx context.Context, after int) error {
	s.moment(ctx, after)
	s.note(namespaceDeleted)
	if _, err := s.delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}); err != nil {
		return err
	}
	return s.clear(ctx)
}

// clear deletes every resource of ours in the namespace.
func (s *stage) clear(ctx context.Context) error {
	for _, kind := range testenv.Kinds() {
		if _, err := s.persist(ctx, func(ctx context.Context) error {
			return s.client.DeleteAllOf(ctx, kind, client.InNamespace(s.namespace))
		}); err != nil {
			return err
		}
	}
	return nil
}
