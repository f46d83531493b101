package outbox

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// applyPatch is an apply as a patch: the object, or an unstructured one, is the configuration.
func (a *auditor) applyPatch(ctx context.Context, c client.Client, o Object, data []byte, opts []client.SubResourcePatchOption) error {
	gvk, err := apiutil.GVKForObject(o, a.writer.client.Scheme())
	if err != nil {
		return fmt.Errorf("apply the status of %s: %w", o.GetName(), err)
	}
	configuration := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(data, &configuration.Object); err != nil {
		return fmt.Errorf("read the configuration to apply: %w", err)
	}
	return a.applied(ctx, c, o, configuration, gvk, opts)
}

// applied applies a configuration of the status, and makes o the resource after it. A dry run says what the configuration changes; the apply that follows is for that version of the resource
// alone. It has the outbox beside the configuration, and force for the outbox: on the version that the dry run saw, no other conflict is left.
func (a *auditor) applied(ctx context.Context, c client.Client, o Object, configuration *unstructured.Unstructured, gvk schema.GroupVersionKind, opts []client.SubResourcePatchOption) error {
	configuration.SetGroupVersionKind(gvk)
	apply := func(ctx context.Context, on Object, opts []client.SubResourcePatchOption) (*unstructured.Unstructured, error) {
		sent := configuration.DeepCopy()
		sent.SetManagedFields(nil)
		sent.SetResourceVersion(on.GetResourceVersion())
		box := outboxapi.Get(on)
		if box.IsZero() {
			box = nil // nobody owns it yet
		}
		if err := setOutbox(sent, box); err != nil {
			return nil, err
		}
		return sent, c.Status().Patch(ctx, sent, client.Apply, opts...) //nolint:staticcheck // the oldest controller-runtime that is supported has no other apply of a status
	}
	given := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	forced := append(slices.Clone(opts), client.ForceOwnership)
	return a.retry(func() error {
		before := newLike(o)
		if err := a.writer.live.Get(ctx, client.ObjectKeyFromObject(o), before); err != nil {
			return err
		}
		if err := a.precondition(o, before, configuration.GetResourceVersion(), configuration.GetUID()); err != nil {
			return err
		}
		merged, err := apply(ctx, before, dryRunIf(true, opts))
		switch {
		case ownedByAnother(err):
			return preconditionError{err}
		case err != nil:
			return err
		}
		after, err := withStatus(before, merged.Object)
		if err != nil {
			return err
		}
		d := a.draft(c, before, after, given.FieldManager)
		d.exact = true
		d.write = func(ctx context.Context, wanted Object, dryRun bool) error {
			answer, err := apply(ctx, wanted, dryRunIf(dryRun, forced))
			if err != nil {
				return err
			}
			return fromUnstructured(answer, wanted)
		}
		return a.saveExact(ctx, d, o)
	})
}

// setOutbox makes the outbox of a status that of the resource.
func setOutbox(u *unstructured.Unstructured, o *outboxapi.Outbox) error {
	unstructured.RemoveNestedField(u.Object, "status", "outbox")
	if o == nil {
		return nil
	}
	value, err := runtime.DefaultUnstructuredConverter.ToUnstructured(o)
	if err != nil {
		return fmt.Errorf("write the outbox: %w", err)
	}
	if err := unstructured.SetNestedMap(u.Object, value, "status", "outbox"); err != nil {
		return fmt.Errorf("write the outbox: the status is not an object: %w", err)
	}
	return nil
}

// ownedByAnother reports whether an apply met fields of other managers.
func ownedByAnother(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsConflict(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeFieldManagerConflict {
			return true
		}
	}
	return false
}

// applyOptions are what Client needs of the options of an apply.
type applyOptions struct {
	dryRun  bool
	options []client.SubResourcePatchOption
	body    bool
}

// apply is an apply of a subresource. through makes the call as it is.
func (a *auditor) apply(ctx context.Context, c client.Client, subresource string, configuration runtime.ApplyConfiguration, given applyOptions, through func() error) error {
	text, err := json.Marshal(configuration)
	if err != nil {
		return fmt.Errorf("read the configuration to apply: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &u.Object); err != nil {
		return fmt.Errorf("read the configuration to apply: %w", err)
	}
	o := a.prototype(u.GroupVersionKind())
	switch {
	case subresource != "status" || given.dryRun:
		return through()
	case o == nil:
		if err := a.refuseAudited(u.GroupVersionKind(), u.GetNamespace(), u.GetName(), configuration); err != nil {
			return err
		}
		return through()
	case given.body:
		return errSubResourceBody
	}
	o.SetNamespace(u.GetNamespace())
	o.SetName(u.GetName())
	gvk := u.GroupVersionKind()
	if err := a.applied(ctx, c, o, u, gvk, given.options); err != nil {
		return err
	}
	o.GetObjectKind().SetGroupVersionKind(gvk)
	if text, err = json.Marshal(o); err != nil {
		return fmt.Errorf("read what was applied: %w", err)
	}
	if err := json.Unmarshal(text, configuration); err != nil {
		return fmt.Errorf("read what was applied: %w", err)
	}
	return nil
}

// interceptApply makes f the interceptor of applies of a subresource. controller-runtime has these since 0.23, and the libraries build with 0.22: their types are found by reflection.
func interceptApply(funcs *interceptor.Funcs, f func(context.Context, client.Client, string, runtime.ApplyConfiguration, applyOptions, func() error) error) {
	field := reflect.ValueOf(funcs).Elem().FieldByName("SubResourceApply")
	if !field.IsValid() {
		return
	}
	field.Set(reflect.MakeFunc(field.Type(), func(in []reflect.Value) []reflect.Value {
		ctx, c, subresource := in[0].Interface().(context.Context), in[1].Interface().(client.Client), in[2].String()
		configuration, options := in[3].Interface().(runtime.ApplyConfiguration), in[4]
		through := func() error {
			called := reflect.ValueOf(c.SubResource(subresource)).MethodByName("Apply").CallSlice([]reflect.Value{in[0], in[3], options})
			err, _ := called[0].Interface().(error)
			return err
		}
		err := f(ctx, c, subresource, configuration, readApplyOptions(options), through)
		result := reflect.New(field.Type().Out(0)).Elem()
		if err != nil {
			result.Set(reflect.ValueOf(err))
		}
		return []reflect.Value{result}
	}))
}

// readApplyOptions reads a []client.SubResourceApplyOption.
func readApplyOptions(list reflect.Value) applyOptions {
	var read applyOptions
	for i := range list.Len() {
		method := list.Index(i).MethodByName("ApplyToSubResourceApply")
		into := reflect.New(method.Type().In(0).Elem())
		method.Call([]reflect.Value{into})
		given := into.Elem()
		read.dryRun = read.dryRun || given.FieldByName("DryRun").Len() > 0
		read.body = read.body || !given.FieldByName("SubResourceBody").IsNil()
		if manager := given.FieldByName("FieldManager").String(); manager != "" {
			read.options = append(read.options, client.FieldOwner(manager))
		}
		if force, _ := given.FieldByName("Force").Interface().(*bool); force != nil && *force {
			read.options = append(read.options, client.ForceOwnership)
		}
	}
	return read
}
