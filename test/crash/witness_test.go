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

// witness watches a world's namespace and writes down every entry that was ever committed there.
type witness struct {
	mu       sync.Mutex
	records  map[types.UID]*history
	restarts map[string]int // pods that were deleted, by name
}

// history is what was seen of one resource.
type history struct {
	newest  outbox.Object
	gone    bool
	entries map[int64]outboxapi.Entry
	last    int64
}

func newWitness(w *world) *witness {
	v := &witness{records: map[types.UID]*history{}, restarts: map[string]int{}}
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

func (v *witness) observe(w *world, e watch.Event) {
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

func (v *witness) note(w *world, o outbox.Object, deleted bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.records[o.GetUID()]
	if h == nil {
		h = &history{entries: map[int64]outboxapi.Entry{}}
		v.records[o.GetUID()] = h
	}
	h.newest, h.gone = o, deleted
	box := o.GetOutbox()
	if box == nil {
		return
	}
	if box.LastSequence < h.last {
		w.t.Errorf("%s %s went from entry %d back to %d", kindOf(o), o.GetName(), h.last, box.LastSequence)
	}
	h.last = box.LastSequence
	for _, entry := range box.Entries {
		if before, ok := h.entries[entry.Sequence]; ok && before.Hash != entry.Hash {
			w.t.Errorf("entry %d of %s %s was written anew", entry.Sequence, kindOf(o), o.GetName())
		}
		h.entries[entry.Sequence] = entry
	}
	if deleted {
		stored, err := stored(o.GetUID())
		if err != nil || int64(len(stored)) < h.last {
			w.t.Errorf("%s %s is gone with %d entries, of which %d are durable (%v)", kindOf(o), o.GetName(), h.last, len(stored), err)
		}
	}
}

// live are the resources that are not gone, as they were seen last.
func (v *witness) live() []outbox.Object {
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
func (v *witness) missing(s *scenario) []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	counts := map[string]int{}
	var all []string
	for _, h := range v.records {
		kind, name, box := kindOf(h.newest), h.newest.GetName(), h.newest.GetOutbox()
		counts[kind]++
		switch {
		case box == nil || !box.Closed:
			all = append(all, fmt.Sprintf("%s %s is open", kind, name))
		case !h.gone && s.vanish[kind]:
			all = append(all, fmt.Sprintf("%s %s was not deleted", kind, name))
		case !h.gone && box.Pending > 0:
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
	return all
}

// checkTargets holds the workloads to one effect for each step: the generation counts the changes of a spec.
func (v *witness) checkTargets(w *world, s *scenario) {
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
