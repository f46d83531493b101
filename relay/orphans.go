package relay

import (
	"context"
	"fmt"

	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// orphans counts what is kept of resources that vanished, all together and by namespace. No quota counts a resource that is gone: whoever may create and delete resources could fill the
// memory while the store is away.
type orphans struct {
	all usage
	in  map[string]usage
}

// usage is what orphans take: undrained entries, and the bytes of their texts.
type usage struct{ entries, bytes int }

func (u usage) plus(v usage) usage { return usage{u.entries + v.entries, u.bytes + v.bytes} }

// namespaceShare is how much of the bounds one namespace may use: a quarter.
const namespaceShare = 4

// exceeds names the bound that a further orphan of the namespace would exceed; "" if there is room.
func (o *orphans) exceeds(c Config, namespace string, more usage) string {
	all, in := o.all.plus(more), o.in[namespace].plus(more)
	switch {
	case all.entries > c.MaxOrphaned:
		return fmt.Sprintf("%d entries", c.MaxOrphaned)
	case all.bytes > c.MaxOrphanedBytes:
		return fmt.Sprintf("%d bytes", c.MaxOrphanedBytes)
	case in.entries > max(1, c.MaxOrphaned/namespaceShare):
		return fmt.Sprintf("%d entries of one namespace", max(1, c.MaxOrphaned/namespaceShare))
	case in.bytes > c.MaxOrphanedBytes/namespaceShare:
		return fmt.Sprintf("%d bytes of one namespace", c.MaxOrphanedBytes/namespaceShare)
	}
	return ""
}

func (o *orphans) add(r *resource, more usage) {
	namespace := r.source.Namespace
	o.all = o.all.plus(more)
	in := o.in[namespace].plus(more)
	if in == (usage{}) {
		delete(o.in, namespace)
		return
	}
	if o.in == nil {
		o.in = map[string]usage{}
	}
	o.in[namespace] = in
}

// release takes off what is left of a resource, which is no orphan any more.
func (o *orphans) release(r *resource) {
	o.add(r, usage{-r.pending.Len(), -r.orphanBytes})
	r.orphaned, r.orphanBytes = false, 0
}

// orphan keeps the undrained entries of a resource that is gone, up to a bound, and drops everything else of it.
func (t *tracker) orphan(ctx context.Context, k *kindReconciler, obj outbox.Object) {
	t.mu.Lock()
	defer t.mu.Unlock()
	*t.deletions.of(obj)++
	r, o := t.resources[obj.GetUID()], outboxapi.Get(obj)
	if o.IsZero() {
		if r != nil {
			t.removeLocked(r)
		}
		return
	}
	now := t.config.Clock.Now()
	if r != nil && t.database.outdated(now) { // nobody will ask for it again, and what was acknowledged may be lost
		r.progress.invalidate()
	}
	r = t.observeLocked(k, obj, now)
	r.terminating = false
	more := usage{entries: r.pending.Len()}
	for _, text := range o.Entries { // all of them: they stay in memory as long as one is pending
		more.bytes += len(text)
	}
	log := logf.FromContext(ctx).WithValues("kind", k.kind, "resource", r.source.String(), "entries", more.entries, "bytes", more.bytes)
	limit := t.orphans.exceeds(t.config, r.source.Namespace, more)
	switch {
	case more.entries == 0:
		t.removeLocked(r)
	case limit != "":
		orphanedEntries.WithLabelValues("dropped").Add(float64(more.entries))
		log.Error(nil, "Dropped the undrained entries of a resource that vanished: too many such entries in memory. `holdfast verify` will report the record", "limit", limit)
		t.removeLocked(r)
	default:
		r.orphaned, r.orphanBytes = true, more.bytes
		t.orphans.add(r, more)
		log.Info("A resource vanished with undrained entries; draining them from memory")
		t.dropLocked(r)
	}
}

// dropLocked removes an orphan once nothing more of it can be sent.
func (t *tracker) dropLocked(r *resource) {
	if r.inFlight > 0 || r.sendable(t.config.Clock.Now()).Len() > 0 {
		return
	}
	orphanedEntries.WithLabelValues("unsupported").Add(float64(r.pending.Len()))
	t.orphans.release(r)
	t.removeLocked(r)
}
