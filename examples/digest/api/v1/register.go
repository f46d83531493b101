// Package v1 has the kinds of the group digests.example.com.
//
// +kubebuilder:object:generate=true
// +groupName=digests.example.com
package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the kinds.
var GroupVersion = schema.GroupVersion{Group: "digests.example.com", Version: "v1"}

// AddToScheme adds the kinds to a scheme.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion, &Digest{}, &DigestList{})
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
