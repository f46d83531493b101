package crash

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// tracker follows the resources of a world: how far they are, what people and controllers that envtest lacks do about them. The oracle judges their entries.
type tracker struct {
	mu       sync.Mutex
	records  map[types.UID]*tracked
	restarts map[string]int // pods that were deleted, by name
}

// tracked is one resource.
type tracked struct {
	newest outbox.Object
	gone   bool
}

func newTracker(w *world) *tracker {
	v := &tracker{records: map[types.UID]*tracked{}, restarts: map[string]int{}}
	life, cancel := context.WithCancel(context.Background())
	var watches sync.WaitGroup
	w.t.Cleanup(func() { cancel(); watches.Wait() })
	for _, list := range []client.ObjectList{&v1alpha1.RemediationRequestList{}, &v1alpha1.AIAnalysisList{}, &v1alpha1.WorkflowExecutionList{},
		&v1alpha1.NotificationRequestList{}, &appsv1.DeploymentList{}, &corev1.PodList{}} {
		events, err := env.Client.Watch(life, list, client.InNamespace(w.namespace))
		w.Expect(err).NotTo(HaveOccurred())
		watches.Go(func() {
			defer events.Stop()
			for e := range events.ResultChan() {
				v.observe(w, e)
			}
			if life.Err() == nil {
				w.t.Errorf("the watch of %T ended", list)
			}
		})
	}
	return v
}

func (v *tracker) observe(w *world, e watch.Event) {
	switch o := e.Object.(type) {
	case outbox.Object:
		v.note(w, o, e.Type == watch.Deleted)
		if e.Type != watch.Deleted {
			decide(w, o)
		}
	case *appsv1.Deployment:
		if e.Type != watch.Deleted {
			rollOut(w, o)
		}
	case *corev1.Pod:
		if e.Type == watch.Deleted {
			v.mu.Lock()
			v.restarts[o.Name]++
			v.mu.Unlock()
			makeAgain(w, o)
		}
	}
}

func (v *tracker) note(w *world, o outbox.Object, deleted bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.records[o.GetUID()] = &tracked{newest: o, gone: deleted}
	if box := outboxapi.Get(o); deleted && !box.IsZero() {
		n, err := durable(o.GetUID())
		if err != nil || n < box.LastSequence {
			w.t.Errorf("%s %s is gone with %d entries, %d of them durable (%v)", kindOf(o), o.GetName(), box.LastSequence, n, err)
		}
	}
}

// live are the resources that are not gone, as they were seen last.
func (v *tracker) live() []outbox.Object {
	v.mu.Lock()
	defer v.mu.Unlock()
	var all []outbox.Object
	for _, h := range v.records {
		if !h.gone {
			all = append(all, h.newest)
		}
	}
	return all
}

// missing says what has not come to its end: resources that are not there yet, open records, entries that are pending, finalizers that hold.
func (v *tracker) missing(s *scenario) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	counts := map[string]int{}
	var all []string
	for _, h := range v.records {
		kind, name, box := kindOf(h.newest), h.newest.GetName(), outboxapi.Get(h.newest)
		counts[kind]++
		switch {
		case box == nil || !box.Closed:
			all = append(all, fmt.Sprintf("%s %s is open", kind, name))
		case !h.gone && s.vanish[kind]:
			all = append(all, fmt.Sprintf("%s %s was not deleted", kind, name))
		case !h.gone && len(box.Entries) > 0:
			all = append(all, fmt.Sprintf("%s %s has %d pending entries", kind, name, box.Pending))
		case !h.gone && len(h.newest.GetFinalizers()) > 0:
			all = append(all, fmt.Sprintf("%s %s has finalizers %v", kind, name, h.newest.GetFinalizers()))
		}
		if phase := phaseOf(h.newest); box != nil && box.Closed && s.phases[name] != "" && phase != s.phases[name] {
			all = append(all, fmt.Sprintf("%s %s is %s, expected %s", kind, name, phase, s.phases[name]))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(s.makes)) {
		if counts[kind] != s.makes[kind] {
			all = append(all, fmt.Sprintf("%d of kind %s, expected %d", counts[kind], kind, s.makes[kind]))
		}
	}
	for _, pod := range slices.Sorted(maps.Keys(s.restarts)) { // another watch, and nothing orders two watches
		if v.restarts[pod] < s.restarts[pod] {
			all = append(all, fmt.Sprintf("pod %s was deleted %d times, expected %d", pod, v.restarts[pod], s.restarts[pod]))
		}
	}
	return all
}

// checkTargets holds the workloads to one effect for each step: the generation counts the changes of a spec.
func (v *tracker) checkTargets(w *world, s *scenario) {
	for name, generation := range s.generations {
		d := &appsv1.Deployment{}
		w.Expect(env.Client.Get(ctx, client.ObjectKey{Namespace: w.namespace, Name: name}, d)).To(Succeed())
		w.Expect(d.Generation).To(Equal(generation), "changes of Deployment %s", name)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	w.Expect(maps.Equal(v.restarts, s.restarts)).To(BeTrue(), "pods that were deleted: %v, expected %v", v.restarts, s.restarts)
}

func kindOf(o client.Object) string {
	gvk, err := apiutil.GVKForObject(o, env.Scheme)
	if err != nil {
		panic(err)
	}
	return gvk.Kind
}

func phaseOf(o outbox.Object) string {
	switch o := o.(type) {
	case *v1alpha1.RemediationRequest:
		return string(o.Status.Phase)
	case *v1alpha1.AIAnalysis:
		return string(o.Status.Phase)
	case *v1alpha1.WorkflowExecution:
		return string(o.Status.Phase)
	case *v1alpha1.NotificationRequest:
		return string(o.Status.Phase)
	}
	return ""
}
