package shard

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// Option changes a default of NewCache.
type Option func(*view)

// WithKey sets the key of a resource if a shard is ByUID; the default is its uid. The key must not change during the life of the resource.
func WithKey(k Key) Option {
	return func(v *view) {
		if v.shard.By != ByNamespace {
			v.key = k
		}
	}
}

// NewCache returns a function for ctrl.Options.NewCache. Its caches contain only the resources of the shard for the given kinds, and all resources of other kinds.
func NewCache(s Shard, kinds []client.Object, options ...Option) cache.NewCacheFunc {
	return func(config *rest.Config, o cache.Options) (cache.Cache, error) {
		if err := s.Validate(); err != nil {
			return nil, fmt.Errorf("shard %w", err)
		}
		if s.Whole() {
			return cache.New(config, o)
		}
		v := &view{shard: s, key: UID, scheme: o.Scheme, kinds: map[schema.GroupVersionKind]bool{}}
		if s.By == ByNamespace {
			v.key = Namespace
		}
		for _, option := range options {
			option(v)
		}
		for _, kind := range kinds {
			gvk, err := apiutil.GVKForObject(kind, o.Scheme)
			if err != nil {
				return nil, fmt.Errorf("shard %s of %T: %w; add the kind to the cache's scheme", s, kind, err)
			}
			v.kinds[gvk] = true
		}
		inner, err := cache.New(config, v.reducing(o))
		if err != nil {
			return nil, err
		}
		return &filtered{Cache: inner, view: v}, nil
	}
}

// view says what is shown.
type view struct {
	shard  Shard
	key    Key
	scheme *runtime.Scheme
	kinds  map[schema.GroupVersionKind]bool
}

// divided reports whether the object's kind is one of those of which only a part is shown.
func (v *view) divided(o runtime.Object) bool {
	gvk, err := apiutil.GVKForObject(o, v.scheme)
	return err == nil && v.kinds[gvk]
}

// shows reports whether an object of a divided kind is in the shard. One without a uid was reduced, since it is not.
func (v *view) shows(o client.Object) bool { return o.GetUID() != "" && v.shard.Owns(v.key(o)) }

// filtered is a cache in which resources of other shards are not there.
type filtered struct {
	cache.Cache
	view *view
}

// Get answers NotFound for what is in another shard: a name that is in a queue may have been made again, and belong to somebody else now.
func (c *filtered) Get(ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if !c.view.divided(obj) {
		return c.Cache.Get(ctx, key, obj, opts...)
	}
	into := reflect.ValueOf(obj).Elem()
	before := reflect.New(into.Type()).Elem()
	before.Set(into)
	if err := c.Cache.Get(ctx, key, obj, opts...); err != nil || c.view.shows(obj) {
		return err
	}
	into.Set(before) // callers may go on with it, as after any NotFound
	gvk, err := apiutil.GVKForObject(obj, c.view.scheme)
	if err != nil {
		return err
	}
	return apierrors.NewNotFound(schema.GroupResource{Group: gvk.Group, Resource: gvk.Kind}, key.Name)
}

// List leaves out what is in other shards.
func (c *filtered) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	gvk, err := apiutil.GVKForObject(list, c.view.scheme)
	if err != nil {
		return err
	}
	gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	if !c.view.kinds[gvk] {
		return c.Cache.List(ctx, list, opts...)
	}
	options := client.ListOptions{}
	options.ApplyOptions(opts)
	limit := options.Limit
	options.Limit = 0 // which counts what is left out, too
	if err := c.Cache.List(ctx, list, &options); err != nil {
		return err
	}
	all, err := meta.ExtractList(list)
	if err != nil {
		return err
	}
	shown := make([]runtime.Object, 0, len(all))
	for _, item := range all {
		if o, ok := item.(client.Object); ok && c.view.shows(o) && (limit <= 0 || int64(len(shown)) < limit) {
			shown = append(shown, item)
		}
	}
	return meta.SetList(list, shown)
}

// GetInformer implements cache.Informers.
func (c *filtered) GetInformer(ctx context.Context, obj client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	i, err := c.Cache.GetInformer(ctx, obj, opts...)
	if err != nil || !c.view.divided(obj) {
		return i, err
	}
	return &informer{Informer: i, view: c.view}, nil
}

// GetInformerForKind implements cache.Informers.
func (c *filtered) GetInformerForKind(ctx context.Context, gvk schema.GroupVersionKind, opts ...cache.InformerGetOption) (cache.Informer, error) {
	i, err := c.Cache.GetInformerForKind(ctx, gvk, opts...)
	if err != nil || !c.view.kinds[gvk] {
		return i, err
	}
	return &informer{Informer: i, view: c.view}, nil
}
