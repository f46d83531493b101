package outbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// statusWrite writes the status of an object, guarded by its resource version, and makes the object what the API server answers. A dry run stores nothing, and the object keeps nothing that the answer
// lacks.
type statusWrite func(ctx context.Context, o Object, dryRun bool) error

// updateStatus is a PUT of the status.
func updateStatus(c client.Client, options ...client.SubResourceUpdateOption) statusWrite {
	return func(ctx context.Context, o Object, dryRun bool) error {
		if !dryRun {
			return c.Status().Update(ctx, o, options...)
		}
		gvk, err := apiutil.GVKForObject(o, c.Scheme())
		if err != nil {
			return err
		}
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
		if err != nil {
			return err
		}
		sent := &unstructured.Unstructured{Object: content} // decoding the answer into o would keep what the answer lacks
		sent.SetGroupVersionKind(gvk)
		if err := c.Status().Update(ctx, sent, append(slices.Clone(options), client.DryRunAll)...); err != nil {
			return err
		}
		return fromUnstructured(sent, o)
	}
}

// fromUnstructured makes o what the answer says, and nothing of what it was.
func fromUnstructured(answer *unstructured.Unstructured, o Object) error {
	fresh := newLike(o)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, fresh); err != nil {
		return fmt.Errorf("read the answer of the API server: %w", err)
	}
	assign(o, fresh)
	return nil
}

// assign makes one object another, but its apiVersion and kind stay, as in a call of controller-runtime's client: an object from a cache has them, one that was decoded has not, and the API server
// refuses a merge patch from the first to the second, since it removes the kind.
func assign(to, from Object) {
	gvk := to.GetObjectKind().GroupVersionKind()
	reflect.ValueOf(to).Elem().Set(reflect.ValueOf(from).Elem())
	to.GetObjectKind().SetGroupVersionKind(gvk)
}

// ensureKept makes sure, before the first state with an entry is saved, that the API server keeps the outbox: one whose CustomResourceDefinition lacks the field drops it without an error. With
// the field and its default, a resource shows an outbox before its first entry. Where it shows none, a dry run of the write finds out.
func (d *Draft) ensureKept(ctx context.Context) error {
	if outboxapi.Get(d.base) != nil {
		return nil
	}
	tried, err := d.try(ctx)
	undeclared := err != nil && strings.Contains(err.Error(), ".status.outbox: field not declared in schema") // the answer to an apply
	if err != nil && !undeclared {
		return fmt.Errorf("save status, as a dry run: %w", explainSchema(err))
	}
	if undeclared || outboxapi.Get(tried) == nil {
		return fmt.Errorf("save status of %s: the API server drops status.outbox, so the entry would be lost; nothing was saved; apply the CustomResourceDefinition of %s that has the field",
			entry.SourceOf(d.obj), d.kind)
	}
	return nil
}

// try is a dry run of the write, and what the API server would have answered. What others wrote meanwhile is no matter here: put looks at that.
func (d *Draft) try(ctx context.Context) (tried Object, err error) {
	tried = d.obj.DeepCopyObject().(Object)
	for range rebases {
		if err = d.write(ctx, tried, true); !apierrors.IsConflict(err) || d.exact {
			return tried, err
		}
		live, getErr := d.readLive(ctx)
		if getErr != nil {
			return nil, fmt.Errorf("read after a conflict: %w", getErr)
		}
		tried = d.obj.DeepCopyObject().(Object)
		tried.SetResourceVersion(live.GetResourceVersion())
	}
	return tried, err
}

// ensureFinalizer makes sure that the finalizer is there before an entry is. Only what was read counts: the caller may have put it into obj, or taken it out, in memory.
func (d *Draft) ensureFinalizer(ctx context.Context) error {
	if controllerutil.ContainsFinalizer(d.base, Finalizer) {
		return nil
	}
	patched := d.base.DeepCopyObject().(Object)
	controllerutil.AddFinalizer(patched, Finalizer)
	if err := d.client.Patch(ctx, patched, client.MergeFromWithOptions(d.base, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("add finalizer %s: %w", Finalizer, err)
	}
	if !controllerutil.ContainsFinalizer(patched, Finalizer) {
		return fmt.Errorf("add finalizer %s: the API server took the request, and the finalizer is not there; look for an admission webhook or policy that removes it", Finalizer)
	}
	adoptMetadata(d.obj, patched)
	adoptMetadata(d.base, patched)
	return nil
}

// put writes the status once, and again after a conflict when only the relay or somebody's label came between.
func (d *Draft) put(ctx context.Context, head string, withEntry bool) error {
	for range rebases {
		wanted := d.obj.DeepCopyObject().(Object)
		err := d.write(ctx, wanted, false)
		if err == nil {
			d.adopt(wanted)
			return nil
		}
		if !apierrors.IsConflict(err) {
			return fmt.Errorf("save status: %w", explainSchema(err))
		}
		live, getErr := d.readLive(ctx)
		if getErr != nil {
			return fmt.Errorf("read after a conflict: %w", getErr)
		}
		if withEntry && live.GetUID() == d.obj.GetUID() && headOf(live) == headOf(d.obj) {
			d.adopt(live) // our own write, whose reply was lost
			return nil
		}
		untouched, cmpErr := sameBut(d.base, live)
		if cmpErr != nil {
			return cmpErr
		}
		if d.exact || !untouched || live.GetUID() != d.base.GetUID() || headOf(live) != head || withEntry && !controllerutil.ContainsFinalizer(live, Finalizer) {
			return err
		}
		d.rebase(live, withEntry)
	}
	return apierrors.NewConflict(groupResource(d.obj), d.obj.GetName(), errors.New("too many concurrent changes by others"))
}

// explainSchema names a CustomResourceDefinition that is not of this release: entries were objects in development versions.
func explainSchema(err error) error {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return err
	}
	for _, cause := range status.Status().Details.Causes {
		if strings.HasPrefix(cause.Field, "status.outbox.entries[") && strings.Contains(cause.Message, "must be of type object") {
			return fmt.Errorf("%w; the CustomResourceDefinition is from a development version; apply the one of this release", err)
		}
	}
	return err
}

// rebase takes the live version with its trimmed entries, and our status with the same entry, if any, again.
func (d *Draft) rebase(live Object, withEntry bool) {
	ours, merged := outboxapi.Get(d.obj), outboxapi.Get(live).DeepCopy()
	if withEntry {
		if merged == nil {
			merged = &outboxapi.Outbox{}
		}
		entry.Repeat(merged, ours)
	}
	if merged != nil {
		entry.Acknowledge(d.obj.GetUID(), merged, d.writer.watermark(d.obj.GetUID()))
		outboxapi.Set(d.obj, merged)
	}
	adoptMetadata(d.obj, live)
}

// adopt makes the caller's object, and the base of the next Save, what the API server holds.
func (d *Draft) adopt(saved Object) {
	d.writer.remember(saved)
	d.base = saved.DeepCopyObject().(Object)
	assign(d.obj, saved)
}
