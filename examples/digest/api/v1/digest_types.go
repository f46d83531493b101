package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DigestSpec says what to digest.
type DigestSpec struct {
	// configMap is the name of the ConfigMap, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMap string `json:"configMap"`
}

// DigestStatus is how far it is, and the result.
type DigestStatus struct {
	// phase is Waiting, Running, or Done.
	// +optional
	Phase string `json:"phase,omitempty"`

	// sha256 of the ConfigMap's data, once it is Done.
	// +optional
	SHA256 string `json:"sha256,omitempty"`

	// error of the last attempt.
	// +optional
	Error string `json:"error,omitempty"`
}

// Digest is computed once, and then done.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`
type Digest struct {
	metav1.TypeMeta `json:",inline"`
	// metadata names it.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what to digest.
	// +required
	Spec DigestSpec `json:"spec"`

	// status is the result.
	// +optional
	Status DigestStatus `json:"status,omitempty"`
}

// DigestList is a list of Digest.
//
// +kubebuilder:object:root=true
type DigestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Digest `json:"items"`
}
