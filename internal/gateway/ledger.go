package gateway

import (
	"context"
	"maps"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// duplicateOf is an annotation of a request that the gateway cancelled, because its incident had another one. That it ended says nothing about the incident.
const duplicateOf = "holdfast.dev/duplicate-of"

// known is what the ledger keeps of a request.
type known struct {
	name        string
	uid         types.UID // "" for one that is being created
	fingerprint string
	target      v1alpha1.Target
	finished    bool
	duplicate   bool
	// at is when it ended, or when it was reserved.
	at time.Time
}

func knownOf(rr *v1alpha1.RemediationRequest) known {
	k := known{name: rr.Name, uid: rr.UID, fingerprint: rr.Spec.Signal.Fingerprint, target: rr.Spec.Target, finished: rr.Status.Phase.Final()}
	if k.finished && rr.Status.CompletedTime != nil {
		k.at = rr.Status.CompletedTime.Time
	}
	_, k.duplicate = rr.Annotations[duplicateOf]
	return k
}

// is reports whether it is a request of an incident.
func (k known) is(n incident) bool { return k.target == n.target && k.fingerprint == n.fingerprint() }

// reservedFor is how long a reservation counts without a word from the API server about its request.
const reservedFor = time.Minute

// ledger has the requests of all namespaces, from a watch, and those that are being created. It answers how many are open, and which one of an incident.
type ledger struct {
	mu         sync.Mutex
	namespaces map[string]map[string]known // namespace, name
	byIncident map[string]map[string]bool  // namespace/fingerprint, names
	informer   cache.SharedIndexInformer
	synced     func() bool
	now        func() time.Time
}

func newLedger(c client.WithWatch, now func() time.Time) (*ledger, error) {
	l := &ledger{namespaces: map[string]map[string]known{}, byIncident: map[string]map[string]bool{}, now: now}
	l.informer = cache.NewSharedIndexInformer(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			list := &v1alpha1.RemediationRequestList{}
			return list, c.List(ctx, list, &client.ListOptions{Raw: &o})
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, &v1alpha1.RemediationRequestList{}, &client.ListOptions{Raw: &o})
		},
	}, &v1alpha1.RemediationRequest{}, 0, nil)
	if err := l.informer.SetTransform(slim); err != nil {
		return nil, err
	}
	registration, err := l.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { l.observe(o.(*v1alpha1.RemediationRequest)) },
		UpdateFunc: func(_, o any) { l.observe(o.(*v1alpha1.RemediationRequest)) },
		DeleteFunc: func(o any) {
			if last, ok := o.(cache.DeletedFinalStateUnknown); ok {
				o = last.Obj
			}
			rr := o.(*v1alpha1.RemediationRequest)
			l.forget(rr.Namespace, rr.Name, rr.UID)
		},
	})
	if err != nil {
		return nil, err
	}
	l.synced = registration.HasSynced
	return l, nil
}

// slim drops what the ledger does not read: a request with its entries has tens of kilobytes.
func slim(o any) (any, error) {
	rr, ok := o.(*v1alpha1.RemediationRequest)
	if !ok {
		return o, nil
	}
	small := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: rr.Namespace, Name: rr.Name, UID: rr.UID, ResourceVersion: rr.ResourceVersion}}
	if other, ok := rr.Annotations[duplicateOf]; ok {
		small.Annotations = map[string]string{duplicateOf: other}
	}
	small.Spec.Signal.Fingerprint, small.Spec.Target = rr.Spec.Signal.Fingerprint, rr.Spec.Target
	small.Status.Phase, small.Status.CompletedTime = rr.Status.Phase, rr.Status.CompletedTime
	return small, nil
}

func (l *ledger) observe(rr *v1alpha1.RemediationRequest) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(rr.Namespace, rr.Name)
	l.put(rr.Namespace, knownOf(rr))
}

// forget drops a request that is gone, unless another one has its name by now.
func (l *ledger) forget(namespace, name string, uid types.UID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k, there := l.namespaces[namespace][name]; there && k.uid == uid {
		l.drop(namespace, name)
	}
}

// reserve counts a request that is about to be created, unless its namespace has limit open ones.
func (l *ledger) reserve(n incident, name string, limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	opened, all := 0, l.namespaces[n.namespace]
	for other, k := range all {
		switch {
		case k.finished || other == name:
		case k.uid == "" && l.now().Sub(k.at) > reservedFor:
			l.drop(n.namespace, other)
		default:
			opened++
		}
	}
	if opened >= limit {
		return false
	}
	if _, there := all[name]; !there {
		l.put(n.namespace, known{name: name, fingerprint: n.fingerprint(), target: n.target, at: l.now()})
	}
	return true
}

// ended notes that a request has ended, as it was read: the watch may be late, and would count it as open.
func (l *ledger) ended(namespace string, live known) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch k, there := l.namespaces[namespace][live.name]; {
	case !there || k.finished || !live.finished:
	case k.uid == "":
		l.drop(namespace, live.name)
	case k.uid == live.uid:
		l.put(namespace, live)
	}
}

// history are the requests of an incident that the ledger has, without reservations.
func (l *ledger) history(n incident) (h history) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range maps.Keys(l.byIncident[incidentKey(n.namespace, n.fingerprint())]) {
		if k := l.namespaces[n.namespace][name]; k.uid != "" && k.is(n) {
			h.add(k)
		}
	}
	return h
}

func (l *ledger) put(namespace string, k known) {
	if l.namespaces[namespace] == nil {
		l.namespaces[namespace] = map[string]known{}
	}
	l.namespaces[namespace][k.name] = k
	key := incidentKey(namespace, k.fingerprint)
	if l.byIncident[key] == nil {
		l.byIncident[key] = map[string]bool{}
	}
	l.byIncident[key][k.name] = true
}

func (l *ledger) drop(namespace, name string) {
	k, there := l.namespaces[namespace][name]
	if !there {
		return
	}
	if delete(l.namespaces[namespace], name); len(l.namespaces[namespace]) == 0 {
		delete(l.namespaces, namespace)
	}
	key := incidentKey(namespace, k.fingerprint)
	if delete(l.byIncident[key], name); len(l.byIncident[key]) == 0 {
		delete(l.byIncident, key)
	}
}

func incidentKey(namespace, fingerprint string) string { return namespace + "/" + fingerprint }

// history is what is known of an incident's requests.
type history struct {
	// open have not finished. There is more than one only while a duplicate is being cancelled.
	open []string
	// last is the uid that the next name follows from: that of the last finished request.
	last   types.UID
	lastAt time.Time
	// ended is the last one that says something about the incident, and when it ended.
	ended   string
	endedAt time.Time
}

func (h *history) add(k known) {
	switch {
	case !k.finished && k.duplicate: // it is none, whoever says so
		return
	case !k.finished:
		h.open = append(h.open, k.name)
		return
	}
	if h.last == "" || k.at.After(h.lastAt) || k.at.Equal(h.lastAt) && k.uid > h.last {
		h.last, h.lastAt = k.uid, k.at
	}
	if !k.duplicate && (h.ended == "" || k.at.After(h.endedAt)) {
		h.ended, h.endedAt = k.name, k.at
	}
}
