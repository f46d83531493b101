package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BucketSpec defines the desired state of Bucket.
type BucketSpec struct {
	// quotaGiB is how much the bucket may hold.
	// +optional
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	QuotaGiB int32 `json:"quotaGiB,omitempty"`
}

// BucketStatus defines the observed state of Bucket.
type BucketStatus struct {
	// state is Creating, Ready, Failed, or Removing.
	// +optional
	State string `json:"state,omitempty"`

	// quotaGiB is what the storage service was told last.
	// +optional
	QuotaGiB int32 `json:"quotaGiB,omitempty"`

	// reason says why the last call to the storage service failed.
	// +optional
	Reason string `json:"reason,omitempty"`
}

// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="STATE",type=string,JSONPath=`.status.state`

// Bucket is the Schema for the buckets API.
type Bucket struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is a standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec defines the desired state of Bucket.
	// +required
	Spec BucketSpec `json:"spec"`

	// status defines the observed state of Bucket.
	// +optional
	Status BucketStatus `json:"status,omitempty"`
}

// +kubebuilder:object:root=true

// BucketList contains a list of Bucket.
type BucketList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Bucket `json:"items"`
}

func init() {
	SchemeBuilder.Register(&Bucket{}, &BucketList{})
}
