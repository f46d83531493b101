package shard

import (
	"maps"
	"reflect"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// reducing has what is in other shards kept as a name only. Nobody is ever shown it, so nobody misses the rest; the memory is another manager's.
func (v *view) reducing(o cache.Options) cache.Options {
	o.DefaultTransform = v.reduce(o.DefaultTransform)
	o.DefaultNamespaces = v.reduceIn(o.DefaultNamespaces)
	objects := make(map[client.Object]cache.ByObject, len(o.ByObject))
	for kind, by := range o.ByObject {
		if by.Transform != nil { // nil is the default
			by.Transform = v.reduce(by.Transform)
		}
		by.Namespaces = v.reduceIn(by.Namespaces)
		objects[kind] = by
	}
	o.ByObject = objects
	return o
}

func (v *view) reduceIn(namespaces map[string]cache.Config) map[string]cache.Config {
	namespaces = maps.Clone(namespaces)
	for name, c := range namespaces {
		if c.Transform != nil {
			c.Transform = v.reduce(c.Transform)
			namespaces[name] = c
		}
	}
	return namespaces
}

// reduce goes before another transform, which may be nil.
func (v *view) reduce(then toolscache.TransformFunc) toolscache.TransformFunc {
	return func(in any) (any, error) {
		if o, ok := in.(client.Object); ok && v.divided(o) && !v.shows(o) {
			return reduced(o), nil
		}
		if then == nil {
			return in, nil
		}
		return then(in)
	}
}

// reduced has name and version, by which informers tell objects apart, and no uid: that is how it is known, since no object of the API server is without one.
func reduced(o client.Object) client.Object {
	r := reflect.New(reflect.TypeOf(o).Elem()).Interface().(client.Object)
	r.GetObjectKind().SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	r.SetNamespace(o.GetNamespace())
	r.SetName(o.GetName())
	r.SetResourceVersion(o.GetResourceVersion())
	return r
}
