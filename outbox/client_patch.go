package outbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	kjson "sigs.k8s.io/json"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

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
	apply, err := patcher(patch.Type(), data, given.FieldValidation == metav1.FieldValidationStrict)
	if err != nil {
		return err
	}
	return a.retry(func() error { return a.patchOnce(ctx, c, o, apply, given.FieldManager, opts) })
}

// patchOnce applies a patch to the resource as the API server has it, in JSON: the Go type may know less than the CustomResourceDefinition does.
func (a *auditor) patchOnce(ctx context.Context, c client.Client, o Object, apply func([]byte) ([]byte, error), manager string, opts []client.SubResourcePatchOption) error {
	gvk, err := apiutil.GVKForObject(o, c.Scheme())
	if err != nil {
		return err
	}
	live := &unstructured.Unstructured{}
	live.SetGroupVersionKind(gvk)
	if err := a.writer.live.Get(ctx, client.ObjectKeyFromObject(o), live); err != nil {
		return err
	}
	before := newLike(o)
	if err := fromUnstructured(live, before); err != nil {
		return err
	}
	text, err := live.MarshalJSON()
	if err != nil {
		return fmt.Errorf("patch %s: %w", o.GetName(), err)
	}
	if text, err = apply(text); err != nil {
		return doesNotFit(o, err)
	}
	patched := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &patched.Object); err != nil {
		return doesNotFit(o, err)
	}
	if patched.Object["status"] == nil {
		patched.Object["status"] = map[string]any{}
	}
	if err := a.precondition(o, live, patched.GetResourceVersion(), patched.GetUID()); err != nil {
		return err
	}
	after, err := withStatus(before, patched.Object)
	if err != nil {
		return doesNotFit(o, err)
	}
	d := a.draft(c, before, after, manager)
	d.exact = true
	d.write = func(ctx context.Context, wanted Object, dryRun bool) error {
		if err := setOutbox(patched, outboxapi.Get(wanted)); err != nil {
			return err
		}
		data, err := json.Marshal([]map[string]any{
			{"op": "add", "path": "/metadata/resourceVersion", "value": wanted.GetResourceVersion()},
			{"op": "add", "path": "/status", "value": patched.Object["status"]},
		})
		if err != nil {
			return err
		}
		answer := &unstructured.Unstructured{}
		answer.SetGroupVersionKind(gvk)
		answer.SetNamespace(o.GetNamespace())
		answer.SetName(o.GetName())
		if err := c.Status().Patch(ctx, answer, client.RawPatch(types.JSONPatchType, data), dryRunIf(dryRun, opts)...); err != nil {
			return err
		}
		return fromUnstructured(answer, wanted)
	}
	return a.saveExact(ctx, d, o)
}

// saveExact saves a draft that has no place for the condition of a full outbox, and removes that afterwards.
func (a *auditor) saveExact(ctx context.Context, d *Draft, o Object) error {
	head := headOf(d.base)
	if err := a.save(ctx, d, o); err != nil || headOf(o) == head {
		return err
	}
	if err := d.mark(ctx, o, metav1.ConditionFalse, "RoomLeft", ""); err != nil && !apierrors.IsConflict(err) {
		return fmt.Errorf("the status was saved, but not %w", err)
	}
	return nil
}

func dryRunIf(dryRun bool, opts []client.SubResourcePatchOption) []client.SubResourcePatchOption {
	if dryRun {
		return append(slices.Clone(opts), client.DryRunAll)
	}
	return opts
}

// doesNotFit is the answer of the API server to a patch that cannot be applied to the resource.
func doesNotFit(o Object, err error) error {
	return apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", groupResource(o), o.GetName(), err.Error(), 0, false)
}

// patcher applies a patch to JSON. A strict one has no member twice. Members that the kind does not have are the API server's to find.
func patcher(kind types.PatchType, data []byte, strict bool) (func([]byte) ([]byte, error), error) {
	switch kind {
	case types.MergePatchType, types.JSONPatchType:
	default:
		return nil, fmt.Errorf("patch of type %q cannot be audited, expected %q, %q or %q", kind, types.MergePatchType, types.JSONPatchType, types.ApplyPatchType)
	}
	var body any
	duplicates, err := kjson.UnmarshalStrict(data, &body)
	if err == nil && strict {
		err = errors.Join(duplicates...)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("read the patch: %v", err))
	}
	if kind == types.MergePatchType {
		return func(text []byte) ([]byte, error) { return jsonpatch.MergePatch(text, data) }, nil
	}
	operations, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("read the JSON patch: %v", err))
	}
	return operations.Apply, nil
}

// patchFinalizers is a patch of a resource itself. A merge patch replaces the list of finalizers. One that was computed from an older version would remove the outbox's finalizer.
func (a *auditor) patchFinalizers(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	through := func() error { return c.Patch(ctx, obj, patch, opts...) }
	gvk, err := apiutil.GVKForObject(obj, c.Scheme())
	if err != nil || patch.Type() != types.MergePatchType || a.anyVersion(gvk.GroupKind()) == nil {
		return through()
	}
	data, err := patch.Data(obj)
	if err != nil {
		return fmt.Errorf("compute the patch: %w", err)
	}
	sent := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &sent.Object); err != nil {
		return through() // the API server says so
	}
	_, given, err := unstructured.NestedFieldNoCopy(sent.Object, "metadata", "finalizers")
	if err != nil || !given || sent.GetResourceVersion() != "" {
		return through()
	}
	return a.retry(func() error {
		live := &metav1.PartialObjectMetadata{}
		live.SetGroupVersionKind(gvk)
		if err := a.writer.live.Get(ctx, client.ObjectKeyFromObject(obj), live); err != nil {
			return err
		}
		kept := sent.DeepCopy()
		if slices.Contains(live.Finalizers, Finalizer) {
			controllerutil.AddFinalizer(kept, Finalizer)
		}
		kept.SetResourceVersion(live.ResourceVersion)
		data, err := json.Marshal(kept.Object)
		if err != nil {
			return err
		}
		return c.Patch(ctx, obj, client.RawPatch(types.MergePatchType, data), opts...)
	})
}
