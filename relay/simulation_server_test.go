package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

type notification = v1alpha1.NotificationRequest

// modelServer is what the simulation takes for an API server: those rules that the protocol leans on, and no others. Resource versions guard a status write, a patch is
// refused when one of its tests fails, finalizers hold a deletion, closed is final, and what no longer has finalizers goes without a second look.
type modelServer struct {
	live    map[string]*notification
	log     []happening
	version int64
	made    int
	now     func() time.Time
	// saw is told of each write. old is nil for a creation, and obj for what is gone.
	saw func(old, obj *notification, how string)
	// unlocked is a mutant: status writes are not guarded by the resource version.
	unlocked bool
}

// happening is an event of a watch.
type happening struct {
	obj  *notification
	gone bool
	how  string
}

var (
	kindResource = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "notificationrequests"}
	kindKind     = v1alpha1.GroupVersion.WithKind("NotificationRequest").GroupKind()
)

func (s *modelServer) create(name string, finalizers ...string) {
	if s.live[name] != nil {
		return
	}
	s.made++
	obj := &notification{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("u" + strconv.Itoa(s.made)),
		CreationTimestamp: metav1.NewTime(s.now().Truncate(time.Second)), Finalizers: finalizers}}
	s.commit(nil, obj, "create")
}

func (s *modelServer) delete(name string) {
	old := s.live[name]
	if old == nil || old.DeletionTimestamp != nil {
		return
	}
	obj := old.DeepCopy()
	obj.DeletionTimestamp = &metav1.Time{Time: s.now()}
	s.commit(old, obj, "delete")
}

// touch is anybody's write to metadata or spec.
func (s *modelServer) touch(name, how string) {
	old := s.live[name]
	if old == nil {
		return
	}
	obj := old.DeepCopy()
	if how == "label" {
		obj.Labels = map[string]string{"touched": strconv.FormatInt(s.version, 10)}
	} else {
		obj.Generation++
		obj.Spec.Cancel = true
	}
	s.commit(old, obj, how)
}

// restore puts a resource back to what it was, as an etcd does that was restored from a snapshot of this history.
func (s *modelServer) restore(name string, back int) {
	old := s.live[name]
	if old == nil {
		return
	}
	for at := len(s.log) - 1; at >= 0; at-- {
		if h := s.log[at]; h.obj.UID == old.UID && h.how == "restore" {
			return // what came before is another history
		}
		if at > len(s.log)-1-back {
			continue
		}
		if h := s.log[at]; h.obj.UID == old.UID {
			s.commit(old, h.obj.DeepCopy(), "restore")
			return
		}
	}
}

func (s *modelServer) commit(old, obj *notification, how string) {
	s.version++
	obj.ResourceVersion = strconv.FormatInt(s.version, 10)
	if obj.DeletionTimestamp != nil && len(obj.Finalizers) == 0 {
		s.remove(old, obj, how)
		return
	}
	s.live[obj.Name] = obj
	s.log = append(s.log, happening{obj: obj, how: how})
	s.saw(old, obj, how)
}

func (s *modelServer) remove(old, last *notification, how string) {
	s.version++
	last.ResourceVersion = strconv.FormatInt(s.version, 10)
	delete(s.live, last.Name)
	s.log = append(s.log, happening{obj: last, gone: true, how: how})
	s.saw(old, nil, how)
}

func (s *modelServer) get(name string) (*notification, error) {
	if obj := s.live[name]; obj != nil {
		return obj, nil
	}
	return nil, apierrors.NewNotFound(kindResource, name)
}

// putStatus is PUT …/status.
func (s *modelServer) putStatus(want *notification) (*notification, error) {
	old, err := s.get(want.Name)
	switch {
	case err != nil:
		return nil, err
	case want.UID != old.UID || want.ResourceVersion != old.ResourceVersion && !s.unlocked:
		return nil, apierrors.NewConflict(kindResource, want.Name, fmt.Errorf("it is at %s", old.ResourceVersion))
	}
	obj := old.DeepCopy()
	obj.Status = *want.Status.DeepCopy()
	if err := keepsRules(old, obj); err != nil {
		return nil, err
	}
	s.commit(old, obj, "status")
	return obj, nil
}

// keepsRules repeats the CEL rules of the CRD.
func keepsRules(old, obj *notification) error {
	was, is := old.Status.Outbox, obj.Status.Outbox
	switch {
	case was == nil:
		return nil
	case is == nil:
		return refusal("an outbox that exists can't be removed")
	case !was.Closed:
		return nil
	case !is.Closed || is.HeadHash != was.HeadHash || is.LastSequence != was.LastSequence:
		return refusal("a closed outbox is final")
	}
	if suffix, _ := endOf(was.Entries, is.Entries); !suffix {
		return refusal("a closed outbox is final: its entries only shrink")
	}
	return nil
}

func refusal(why string) error {
	return apierrors.NewInvalid(kindKind, "", field.ErrorList{field.Invalid(field.NewPath("status"), nil, why)})
}

// endOf reports whether short is the end of long, and what long has before it.
func endOf(long, short []outboxapi.Entry) (bool, []outboxapi.Entry) {
	if len(short) > len(long) {
		return false, nil
	}
	cut := len(long) - len(short)
	for i := range short {
		if short[i] != long[cut+i] {
			return false, nil
		}
	}
	return true, long[:cut]
}

// addFinalizer is a merge patch of the metadata.
func (s *modelServer) addFinalizer(name string, patch []byte) (*notification, error) {
	old, err := s.get(name)
	if err != nil {
		return nil, err
	}
	var wanted struct {
		Metadata struct {
			Finalizers      []string
			ResourceVersion string
		}
	}
	if err := json.Unmarshal(patch, &wanted); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	switch {
	case wanted.Metadata.ResourceVersion != old.ResourceVersion:
		return nil, apierrors.NewConflict(kindResource, name, fmt.Errorf("it is at %s", old.ResourceVersion))
	case old.DeletionTimestamp != nil:
		return nil, refusal("no new finalizers can be added if the object is being deleted")
	}
	obj := old.DeepCopy()
	obj.Finalizers = wanted.Metadata.Finalizers
	s.commit(old, obj, "finalizer")
	return obj, nil
}

// step is an operation of a JSON patch as it arrives.
type step struct {
	Op, Path string
	Value    json.RawMessage
}

// jsonPatch is "trim" (of the status) or "release" (of the rest). between is when the last finalizer is gone: what is deleted then is not looked at again.
func (s *modelServer) jsonPatch(name, how string, steps []step, between func()) (*notification, error) {
	old, err := s.get(name)
	if err != nil {
		return nil, err
	}
	obj := old.DeepCopy()
	for _, each := range steps {
		if err := apply(obj, each); err != nil {
			return nil, err
		}
	}
	if err := keepsRules(old, obj); err != nil {
		return nil, err
	}
	if obj.DeletionTimestamp != nil && len(obj.Finalizers) == 0 {
		between()
		if now := s.live[name]; now != nil {
			s.remove(now, now.DeepCopy(), how)
		}
		return obj, nil
	}
	s.commit(old, obj, how)
	return obj, nil
}

func apply(obj *notification, each step) error {
	failed := apierrors.NewGenericServerResponse(422, "PATCH", kindResource, obj.Name, "the test failed: "+each.Path, 0, false)
	box := obj.Status.Outbox
	if box == nil {
		return failed
	}
	at, isFinalizer := strings.CutPrefix(each.Path, "/metadata/finalizers/")
	index, _ := strconv.Atoi(at)
	switch {
	case isFinalizer && (index < 0 || index >= len(obj.Finalizers)):
		return failed
	case isFinalizer && each.Op == "remove":
		obj.Finalizers = slices.Delete(obj.Finalizers, index, index+1)
		return nil
	case each.Op == "test":
		is := map[string]any{"/metadata/uid": obj.UID, "/status/outbox/headHash": box.HeadHash,
			"/status/outbox/persistedSequence": box.PersistedSequence, "/status/outbox/closed": box.Closed}[each.Path]
		if isFinalizer {
			is = obj.Finalizers[index]
		}
		if text, err := json.Marshal(is); err != nil || string(text) != string(each.Value) {
			return failed
		}
		return nil
	}
	into := map[string]any{"/status/outbox/entries": &box.Entries, "/status/outbox/persistedSequence": &box.PersistedSequence,
		"/status/outbox/persistedTime": &box.PersistedTime, "/status/outbox/pending": &box.Pending}[each.Path]
	if into == nil || each.Op != "add" {
		return apierrors.NewBadRequest("the model does not know " + each.Op + " " + each.Path)
	}
	box.Entries = slices.Clone(box.Entries)
	if each.Path == "/status/outbox/entries" {
		box.Entries = nil
	}
	if each.Path == "/status/outbox/persistedTime" {
		box.PersistedTime = &outboxapi.Time{}
		into = box.PersistedTime
	}
	return json.Unmarshal(each.Value, into)
}

var modelScheme = func() *runtime.Scheme {
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		panic(err)
	}
	return s
}()

// modelClient is a process's way to the server. What it reads comes from the process's cache.
type modelClient struct {
	client.Client // nil: what is not overridden is not called

	p *process
}

// Scheme implements client.Client.
func (c *modelClient) Scheme() *runtime.Scheme { return modelScheme }

// Get reads the cache.
func (c *modelClient) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	obj := c.p.cache[key.Name]
	if obj == nil {
		return apierrors.NewNotFound(kindResource, key.Name)
	}
	*into.(*notification) = *obj.DeepCopy()
	return nil
}

// Patch adds the finalizer, or releases it.
func (c *modelClient) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	if patch.Type() == types.MergePatchType {
		return c.p.call(obj, func() (*notification, error) { return c.p.addFinalizer(obj, data) })
	}
	return c.jsonPatch(obj, "release", data)
}

func (c *modelClient) jsonPatch(obj client.Object, how string, data []byte) error {
	var steps []step
	if err := json.Unmarshal(data, &steps); err != nil {
		return err
	}
	steps = slices.DeleteFunc(steps, func(s step) bool { return s.Op == "test" && c.p.sim.mutant.untested[how+" "+s.Path] })
	return c.p.call(obj, func() (*notification, error) {
		return c.p.sim.server.jsonPatch(obj.GetName(), how, steps, func() { c.p.sim.meanwhile(c.p) })
	})
}

// Status writes the subresource.
func (c *modelClient) Status() client.SubResourceWriter { return modelStatus{c: c} }

type modelStatus struct {
	client.SubResourceWriter

	c *modelClient
}

// Update is the Writer's PUT, or the dry run of its first one: an untyped object, which the model leaves as it is, since its schema has the outbox.
func (m modelStatus) Update(_ context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	p := m.c.p
	if _, dryRun := obj.(*unstructured.Unstructured); dryRun {
		live := &notification{}
		if err := p.call(live, func() (*notification, error) { return p.sim.server.get(obj.GetName()) }); err != nil {
			return err
		}
		if live.GetResourceVersion() != obj.GetResourceVersion() {
			return apierrors.NewConflict(kindResource, obj.GetName(), fmt.Errorf("it is at %s", live.ResourceVersion))
		}
		return nil
	}
	return p.call(obj, func() (*notification, error) { return p.putStatus(obj.(*notification)) })
}

// Patch is the relay's trim.
func (m modelStatus) Patch(_ context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	return m.c.jsonPatch(obj, "trim", data)
}

// modelReader reads past the cache.
type modelReader struct {
	client.Reader

	p *process
}

// Get reads the server.
func (r modelReader) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	return r.p.call(into, func() (*notification, error) { return r.p.sim.server.get(key.Name) })
}
