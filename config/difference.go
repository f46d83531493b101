package config

import (
	"maps"
	"slices"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Difference returns the fields of this release's definition that the one of a cluster lacks, and those that only the one of the cluster has: one of an older release lacks some, and the API server
// drops what a manager writes there; one of a newer release has more. Both are paths such as status.outbox.
func Difference(ours, theirs *apiextensionsv1.CustomResourceDefinition) (lacking, more []string) {
	mine, others := fieldsOf(ours), fieldsOf(theirs)
	return missingFrom(others, mine), missingFrom(mine, others)
}

// missingFrom are the fields of all that has does not have, the outermost only.
func missingFrom(has, all map[string]string) (missing []string) {
	for _, path := range slices.Sorted(maps.Keys(all)) {
		_, there := has[path]
		_, outer := has[all[path]]
		if !there && (outer || all[path] == "") {
			missing = append(missing, path)
		}
	}
	return missing
}

// fieldsOf are the paths of all fields of the version v1alpha1, each with that of the field around it.
func fieldsOf(crd *apiextensionsv1.CustomResourceDefinition) map[string]string {
	fields := map[string]string{}
	for i := range crd.Spec.Versions {
		if v := &crd.Spec.Versions[i]; v.Name == group.Version && v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
			walk(v.Schema.OpenAPIV3Schema, "", fields)
		}
	}
	return fields
}

func walk(s *apiextensionsv1.JSONSchemaProps, path string, into map[string]string) {
	for name := range s.Properties {
		inner := name
		if path != "" {
			inner = path + "." + name
		}
		into[inner] = path
		property := s.Properties[name]
		walk(&property, inner, into)
	}
	if s.Items != nil && s.Items.Schema != nil {
		walk(s.Items.Schema, path, into)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		walk(s.AdditionalProperties.Schema, path, into)
	}
}
