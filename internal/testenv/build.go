package testenv

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Fingerprint is a valid one.
var Fingerprint = strings.Repeat("3f0c", 16)

// NotificationBuilder makes NotificationRequests.
type NotificationBuilder struct{ v1alpha1.NotificationRequest }

// MakeNotification begins with a valid request to the console.
func MakeNotification(namespace, name string) *NotificationBuilder {
	b := &NotificationBuilder{}
	b.Namespace, b.Name = namespace, name
	b.Spec = v1alpha1.NotificationRequestSpec{
		RemediationRef: v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"},
		Subject:        "cart is back",
		Channels:       []v1alpha1.Channel{{Type: v1alpha1.ChannelConsole}},
	}
	return b
}

// Finalizers replaces the finalizers.
func (b *NotificationBuilder) Finalizers(f ...string) *NotificationBuilder {
	b.NotificationRequest.Finalizers = f
	return b
}

// Obj is what was built.
func (b *NotificationBuilder) Obj() *v1alpha1.NotificationRequest { return &b.NotificationRequest }

// RemediationBuilder makes RemediationRequests.
type RemediationBuilder struct{ v1alpha1.RemediationRequest }

// MakeRemediation begins with a valid request for a Deployment of the same name.
func MakeRemediation(namespace, name string) *RemediationBuilder {
	b := &RemediationBuilder{}
	b.Namespace, b.Name = namespace, name
	b.Spec = v1alpha1.RemediationRequestSpec{
		Signal: v1alpha1.Signal{
			Fingerprint: Fingerprint, Name: "KubePodCrashLooping", Severity: "critical", Source: "alertmanager", ReceivedTime: outboxapi.NewTime(metav1.Now().Time),
		},
		Target:             v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: name},
		ServiceAccountName: "remediator",
	}
	return b
}

// Auto approves from a confidence on.
func (b *RemediationBuilder) Auto(above int32) *RemediationBuilder {
	b.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: &above}
	return b
}

// Obj is what was built.
func (b *RemediationBuilder) Obj() *v1alpha1.RemediationRequest { return &b.RemediationRequest }
