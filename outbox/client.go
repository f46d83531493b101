package outbox

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Client is for a controller that writes a status in many places. Each status write of an audited kind becomes the save of a draft. describe gets copies of the
// resource before and after a write that changes something. It returns the change for the entry, or nil for a write without an entry. All other calls, and calls for other kinds, go
// unchanged to the client of the Writer.
//
//   - Update saves if the resource version is that of the object in the cache or in the API server. Otherwise it returns a conflict, as the API server does.
//   - A merge patch or a JSON patch is applied to the current resource in the API server, and again if the resource changes meanwhile. There is no conflict, unless
//     the patch has metadata.resourceVersion. Fields that the Go type does not know stay as they are.
//   - An apply first makes a dry run to find out what it would change, and then writes that with the entry. Conflicts with other field managers are returned as usual. It needs two
//     requests more than an apply without an entry. The field manager then also owns status.outbox, so all of its applies must go through this client.
//   - A dry run goes unchanged to the API server.
//   - A merge patch of the resource itself that replaces the finalizers without a resource version keeps the finalizer of the outbox.
//
// For a resource in deletion, describe is also called for a write that changes nothing. The change is saved if it is Final, which closes the record, once. Without the outbox's finalizer no entry
// can be added: the status is then written without one, so that a controller with its own finalizer can finish.
//
// The object of the call changes only on success, so that retry.RetryOnConflict works. Errors are those of Draft.Save. If the outbox has no room, the write fails
// with ErrFull, after the controller has acted. If that matters, use a Draft and Reserve.
//
// Writes that bypass this client are not audited. An audited kind as an unstructured object, or in a version whose type has no outbox, is refused.
func (w *Writer) Client(describe func(before, after Object) *Change) client.Client {
	if describe == nil {
		panic("outbox: Writer.Client needs a function that describes changes, got nil")
	}
	a := &auditor{writer: w, describe: describe}
	funcs := interceptor.Funcs{Patch: a.patchFinalizers, SubResourceUpdate: a.update, SubResourcePatch: a.patch}
	interceptApply(&funcs, a.apply)
	inner := struct {
		client.Client
		watcher
	}{Client: w.client}
	return struct{ client.Client }{interceptor.NewClient(inner, funcs)}
}

// watcher is what an interceptor needs beside a client. The result of Writer.Client has no Watch, so nobody calls it.
type watcher interface {
	Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error)
}

// auditor turns status writes into saves of drafts.
type auditor struct {
	writer   *Writer
	describe func(before, after Object) *Change
}

// audited returns the object of a call if its kind is audited and it is the status that is written; nil for all others.
func (a *auditor) audited(subresource string, obj client.Object) (Object, error) {
	if subresource != "status" {
		return nil, nil
	}
	if o, ok := obj.(Object); ok {
		return o, nil
	}
	gvk, err := apiutil.GVKForObject(obj, a.writer.client.Scheme())
	if err != nil {
		return nil, nil //nolint:nilerr // the client says so itself
	}
	return nil, a.refuseAudited(gvk, obj.GetNamespace(), obj.GetName(), obj)
}

// refuseAudited returns an error if the kind is audited in any version. A write of another version, or of an object without an outbox, would have no entry.
func (a *auditor) refuseAudited(gvk schema.GroupVersionKind, namespace, name string, obj any) error {
	if o := a.anyVersion(gvk.GroupKind()); o != nil {
		return fmt.Errorf("write the status of %s %s/%s in %s: the kind is audited, but the object is a %T; use a %T", gvk.Kind, namespace, name, gvk.GroupVersion(), obj, o)
	}
	return nil
}

// anyVersion returns a new object of a kind in a version that is audited, or nil if none is.
func (a *auditor) anyVersion(kind schema.GroupKind) Object {
	for _, version := range a.writer.client.Scheme().VersionsForGroupKind(kind) {
		if o := a.prototype(version.WithKind(kind.Kind)); o != nil {
			return o
		}
	}
	return nil
}

// prototype returns a new object of a kind, or nil if the kind is not audited.
func (a *auditor) prototype(gvk schema.GroupVersionKind) Object {
	o, err := a.writer.client.Scheme().New(gvk)
	if err != nil {
		return nil
	}
	audited, _ := o.(Object)
	return audited
}

var errSubResourceBody = errors.New("a subresource body is not supported for the status of an audited kind; change the status of the object instead")

func (a *auditor) update(ctx context.Context, c client.Client, subresource string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	o, err := a.audited(subresource, obj)
	given := (&client.SubResourceUpdateOptions{}).ApplyOptions(opts)
	switch {
	case err != nil:
		return err
	case o == nil || len(given.DryRun) > 0:
		return c.SubResource(subresource).Update(ctx, obj, opts...)
	case given.SubResourceBody != nil:
		return errSubResourceBody
	}
	before, err := a.asRead(ctx, o)
	if err != nil {
		return err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return fmt.Errorf("read the status of %s: %w", o.GetName(), err)
	}
	after, err := withStatus(before, content)
	if err != nil {
		return err
	}
	d := a.draft(c, before, after, given.FieldManager)
	d.write = updateStatus(c, opts...)
	return a.save(ctx, d, o)
}

// asRead is the resource in the version that the caller has read.
func (a *auditor) asRead(ctx context.Context, o Object) (Object, error) {
	if o.GetResourceVersion() == "" {
		return nil, fmt.Errorf("update the status of %s/%s: metadata.resourceVersion is empty, expected the version that was read", o.GetNamespace(), o.GetName())
	}
	for _, from := range []client.Reader{a.writer.client, a.writer.live} {
		found := newLike(o)
		switch err := from.Get(ctx, client.ObjectKeyFromObject(o), found); {
		case apierrors.IsNotFound(err) && from != a.writer.live: // not yet in the cache
		case err != nil:
			return nil, err
		case found.GetResourceVersion() == o.GetResourceVersion():
			return found, nil
		}
	}
	return nil, a.conflict(o, "the object has been modified; read it again and make the change in that version")
}

func (a *auditor) conflict(o Object, why string) error {
	return apierrors.NewConflict(groupResource(o), o.GetName(), errors.New(why))
}

// precondition is the conflict of a write that names another version of the resource, or another resource of its name, than the API server has.
func (a *auditor) precondition(o Object, live client.Object, resourceVersion string, uid types.UID) error {
	switch {
	case resourceVersion != "" && resourceVersion != live.GetResourceVersion():
		return preconditionError{a.conflict(o, fmt.Sprintf("metadata.resourceVersion is %s, the patch expects %s", live.GetResourceVersion(), resourceVersion))}
	case uid != "" && uid != live.GetUID():
		return preconditionError{a.conflict(o, fmt.Sprintf("metadata.uid is %s, the patch expects %s", live.GetUID(), uid))}
	}
	return nil
}

// preconditionError is a conflict that no second try can remove.
type preconditionError struct{ error }

func (e preconditionError) Unwrap() error { return e.error }

// retry repeats while the resource changes between the read and the write, as the API server does for a patch.
func (a *auditor) retry(try func() error) error {
	var err error
	for range rebases {
		err = try()
		if final := (preconditionError{}); !apierrors.IsConflict(err) || errors.As(err, &final) {
			break
		}
	}
	return err
}

// draft is a draft of a write through c, by a field manager if the caller named one.
func (a *auditor) draft(c client.Client, before, after Object, manager string) *Draft {
	if manager != "" {
		c = client.WithFieldOwner(c, manager)
	}
	d := a.writer.draft(after, before)
	d.client = c
	return d
}

// save saves a draft with its entry, and makes obj what was saved.
func (a *auditor) save(ctx context.Context, d *Draft, obj Object) error {
	change, same, err := a.change(d.base, d.obj)
	switch {
	case err != nil:
		return err
	case change == nil && same:
		err = d.put(ctx, headOf(d.base), false) // the API server knows whether the version is the newest, and what a patch changes that the type does not know
	default:
		err = d.Save(ctx, change)
	}
	if err != nil {
		return err
	}
	assign(obj, d.obj)
	return nil
}

// change is what the caller says of a write, and whether the write changes nothing. The outbox is nobody's to change: after it is as before. A write that changes nothing, such as one that is
// repeated, has no entry, but for the one that ends the record of a resource that is being deleted. A resource that was released can have none.
func (a *auditor) change(before, after Object) (change *Change, same bool, err error) {
	outboxapi.Set(after, outboxapi.Get(before).DeepCopy())
	same, err = sameBut(before, after)
	if err != nil || released(before) || same && (before.GetDeletionTimestamp() == nil || ended(before)) {
		return nil, same, err
	}
	change = a.describe(before.DeepCopyObject().(Object), after.DeepCopyObject().(Object))
	if same && change != nil && !change.Final {
		change = nil
	}
	return change, same, nil
}

// withStatus is base with the status of another object, all else as in base.
func withStatus(base Object, from map[string]any) (Object, error) {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(base)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", base.GetName(), err)
	}
	delete(content, "status")
	if status, ok := from["status"]; ok {
		content["status"] = status
	}
	text, err := json.Marshal(content)
	if err != nil {
		return nil, fmt.Errorf("the new status of %s: %w", base.GetName(), err)
	}
	after := newLike(base)
	if err := json.Unmarshal(text, after); err != nil { // the case of a name counts, as it does in the API server
		return nil, fmt.Errorf("the new status of %s: %w", base.GetName(), err)
	}
	return after, nil
}
