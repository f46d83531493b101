package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
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
//     the patch has metadata.resourceVersion.
//   - An apply first makes a dry run to find out what it would change, and then writes that with the entry. Conflicts with other field managers are returned as usual. It needs two
//     requests more than an apply without an entry. The field manager then also owns status.outbox, so all of its applies must go through this client.
//   - A dry run goes unchanged to the API server.
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
	funcs := interceptor.Funcs{SubResourceUpdate: a.update, SubResourcePatch: a.patch}
	interceptApply(&funcs, a.apply)
	return interceptor.NewClient(unwatched{w.client}, funcs)
}

// unwatched adapts a client that cannot watch for the interceptor.
type unwatched struct{ client.Client }

// Watch is not supported.
func (unwatched) Watch(context.Context, client.ObjectList, ...client.ListOption) (watch.Interface, error) {
	return nil, errors.New("this client cannot watch; use the manager's cache")
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
	for _, version := range a.writer.client.Scheme().VersionsForGroupKind(gvk.GroupKind()) {
		if o := a.prototype(version.WithKind(gvk.Kind)); o != nil {
			return fmt.Errorf("write the status of %s %s/%s in %s: the kind is audited, but the object is a %T; use a %T", gvk.Kind, namespace, name, gvk.GroupVersion(), obj, o)
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
	after, err := withStatusOf(before, o)
	if err != nil {
		return err
	}
	return a.save(ctx, before, after, o, func(ctx context.Context, wanted Object) error { return c.Status().Update(ctx, wanted, opts...) })
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

func (a *auditor) patch(ctx context.Context, c client.Client, subresource string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	o, err := a.audited(subresource, obj)
	given := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	switch {
	case err != nil:
		return err
	case o == nil || len(given.DryRun) > 0:
		return c.SubResource(subresource).Patch(ctx, obj, patch, opts...)
	case given.SubResourceBody != nil:
		return errSubResourceBody
	}
	data, err := patch.Data(o)
	if err != nil {
		return fmt.Errorf("compute the patch: %w", err)
	}
	if patch.Type() == types.ApplyPatchType {
		return a.applyPatch(ctx, c, o, data, opts)
	}
	apply, err := patcher(patch.Type(), data)
	if err != nil {
		return err
	}
	write := func(ctx context.Context, wanted Object) error {
		return c.Status().Update(ctx, wanted, updateOptions(given))
	}
	return a.retry(func() error {
		before, err := a.current(ctx, o, data)
		if err != nil {
			return err
		}
		text, err := json.Marshal(before)
		if err != nil {
			return fmt.Errorf("patch %s: %w", o.GetName(), err)
		}
		patched, err := apply(text)
		if err != nil { // the answer of the API server to a patch that does not fit
			return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", groupResource(o), o.GetName(), err.Error(), 0, false)
		}
		after, err := withStatus(before, patched)
		if err != nil {
			return err
		}
		return a.save(ctx, before, after, o, write)
	})
}

// patcher applies a patch to JSON.
func patcher(kind types.PatchType, data []byte) (func([]byte) ([]byte, error), error) {
	switch kind {
	case types.MergePatchType:
		return func(text []byte) ([]byte, error) { return jsonpatch.MergePatch(text, data) }, nil
	case types.JSONPatchType:
		operations, err := jsonpatch.DecodePatch(data)
		if err != nil {
			return nil, fmt.Errorf("read the JSON patch: %w", err)
		}
		return operations.Apply, nil
	}
	return nil, fmt.Errorf("patch of type %q cannot be audited, expected %q, %q or %q", kind, types.MergePatchType, types.JSONPatchType, types.ApplyPatchType)
}

// updateOptions are those of a patch for the update that it becomes.
func updateOptions(p *client.SubResourcePatchOptions) *client.SubResourceUpdateOptions {
	return &client.SubResourceUpdateOptions{UpdateOptions: client.UpdateOptions{FieldManager: p.FieldManager, FieldValidation: p.FieldValidation}}
}

// stated are the preconditions that a patch may have.
type stated struct {
	Metadata struct {
		UID             types.UID `json:"uid"`
		ResourceVersion string    `json:"resourceVersion"`
	} `json:"metadata"`
}

// current is the resource as the API server has it, if that is what the patch is for. A patch that names a version is tried once.
func (a *auditor) current(ctx context.Context, o Object, patch []byte) (Object, error) {
	live := newLike(o)
	if err := a.writer.live.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return nil, err
	}
	var s stated
	_ = json.Unmarshal(patch, &s) // a JSON patch is a list: its tests are made on the resource
	switch {
	case s.Metadata.ResourceVersion != "" && s.Metadata.ResourceVersion != live.GetResourceVersion():
		return nil, preconditionError{a.conflict(o, fmt.Sprintf("metadata.resourceVersion is %s, the patch expects %s", live.GetResourceVersion(), s.Metadata.ResourceVersion))}
	case s.Metadata.UID != "" && s.Metadata.UID != live.GetUID():
		return nil, preconditionError{a.conflict(o, fmt.Sprintf("metadata.uid is %s, the patch expects %s", live.GetUID(), s.Metadata.UID))}
	}
	return live, nil
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

// save saves after as a draft that began with before, and makes obj what was saved.
func (a *auditor) save(ctx context.Context, before, after, obj Object, write func(context.Context, Object) error) error {
	change, err := a.change(before, after)
	if err != nil {
		return err
	}
	d := a.writer.draft(after, before)
	d.write = write
	if err := d.Save(ctx, change); err != nil {
		return err
	}
	reflect.ValueOf(obj).Elem().Set(reflect.ValueOf(after).Elem())
	return nil
}

// change is what the caller says of a write. The outbox is nobody's to change: after it is as before. A write that changes nothing, such as one that is repeated, has no entry, but for the one
// that ends the record of a resource that is being deleted. A resource that was released can have none.
func (a *auditor) change(before, after Object) (*Change, error) {
	outboxapi.Set(after, outboxapi.Get(before).DeepCopy())
	same, err := sameBut(before, after)
	switch {
	case err != nil:
		return nil, err
	case released(before), same && (before.GetDeletionTimestamp() == nil || ended(before)):
		return nil, nil
	}
	change := a.describe(before.DeepCopyObject().(Object), after.DeepCopyObject().(Object))
	if same && change != nil && !change.Final {
		return nil, nil
	}
	return change, nil
}

func newLike(o Object) Object { return reflect.New(reflect.TypeOf(o).Elem()).Interface().(Object) }

// withStatusOf is base with the status of another object, all else as in base.
func withStatusOf(base, o Object) (Object, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("read the status of %s: %w", o.GetName(), err)
	}
	return withStatus(base, text)
}

// withStatus is base with the status of the object in the text.
func withStatus(base Object, text []byte) (Object, error) {
	ours, err := json.Marshal(base)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", base.GetName(), err)
	}
	var into, from map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(ours, &into), json.Unmarshal(text, &from)); err != nil {
		return nil, fmt.Errorf("read the status of %s: %w", base.GetName(), err)
	}
	delete(into, "status")
	if status, ok := from["status"]; ok {
		into["status"] = status
	}
	if ours, err = json.Marshal(into); err != nil {
		return nil, fmt.Errorf("write the status of %s: %w", base.GetName(), err)
	}
	after := newLike(base)
	if err := json.Unmarshal(ours, after); err != nil {
		return nil, fmt.Errorf("the new status of %s: %w", base.GetName(), err)
	}
	return after, nil
}
