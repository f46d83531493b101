package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReleaseSpec defines the desired state of Release.
type ReleaseSpec struct {
	// deployment is the name of the Deployment that gets the image, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Deployment string `json:"deployment"`

	// image is what its first container is to run.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image"`
}

// ReleaseStatus defines the observed state of Release.
type ReleaseStatus struct {
	// phase is Pending, Failed, Progressing, or Live.
	// +optional
	Phase string `json:"phase,omitempty"`

	// image is what was released last.
	// +optional
	Image string `json:"image,omitempty"`

	// message says why the release failed.
	// +optional
	Message string `json:"message,omitempty"`

	// releases counts the images that were released.
	// +optional
	Releases int32 `json:"releases,omitempty"`

	// conditions represent the current state of the Release.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="PHASE",type=string,JSONPath=`.status.phase`

// Release is the Schema for the releases API.
type Release struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is a standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines the desired state of Release.
	// +required
	Spec ReleaseSpec `json:"spec"`

	// status defines the observed state of Release.
	// +optional
	Status ReleaseStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// ReleaseList contains a list of Release.
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}

func init() {
	SchemeBuilder.Register(&Release{}, &ReleaseList{})
}
