package config

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

//go:embed crd/bases/*.yaml admission/approval.yaml admission/finalizer.yaml admission/identity.yaml admission/impersonation.yaml admission/metadata.yaml admission/orchestration.yaml
//go:embed rbac/approver.yaml rbac/metrics-reader.yaml rbac/requester.yaml rbac/viewer.yaml storage/callers.yaml reports/viewer.yaml gateway/role.yaml
var manifests embed.FS

// CRDs returns the CustomResourceDefinitions of the four kinds, sorted by name.
func CRDs() ([]*apiextensionsv1.CustomResourceDefinition, error) {
	objects, err := read("crd/bases/*.yaml")
	if err != nil {
		return nil, err
	}
	crds := make([]*apiextensionsv1.CustomResourceDefinition, 0, len(objects))
	for _, object := range objects {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, crd); err != nil {
			return nil, fmt.Errorf("read the CustomResourceDefinition %s: %w", object.GetName(), err)
		}
		crds = append(crds, crd)
	}
	return crds, nil
}

// Policies returns the admission policies and their bindings, each policy before its binding.
func Policies() ([]*unstructured.Unstructured, error) { return read("admission/*.yaml") }

// Roles returns the ClusterRoles that people, callers and the gateway are bound to. The manager's own is not among them.
func Roles() ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, folder := range []string{"rbac", "storage", "reports", "gateway"} {
		some, err := read(folder + "/*.yaml")
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// read decodes the objects of the embedded files, in the order of their names.
func read(pattern string) ([]*unstructured.Unstructured, error) {
	files, err := fs.Glob(manifests, pattern)
	if err != nil {
		return nil, fmt.Errorf("list manifests %s: %w", pattern, err)
	}
	slices.Sort(files)
	var objects []*unstructured.Unstructured
	for _, file := range files {
		more, err := decode(manifests, file)
		if err != nil {
			return nil, fmt.Errorf("read the manifest %s: %w", file, err)
		}
		objects = append(objects, more...)
	}
	return objects, nil
}

func decode(from fs.FS, file string) ([]*unstructured.Unstructured, error) {
	content, err := from.Open(file)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	decoder := utilyaml.NewYAMLOrJSONDecoder(content, 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, err
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}
