package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is holdfast.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "holdfast.dev", Version: "v1alpha1"}

// AddToScheme registers the four kinds and their lists.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&RemediationRequest{}, &RemediationRequestList{},
		&AIAnalysis{}, &AIAnalysisList{},
		&WorkflowExecution{}, &WorkflowExecutionList{},
		&NotificationRequest{}, &NotificationRequestList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
