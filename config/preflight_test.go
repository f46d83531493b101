package config_test

import (
	"io"
	"testing"

	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
)

// A manager names a policy that is not there when it starts. One that may not look says that it lacks the right.
func TestPreflightNamesAPolicyThatIsAbsent(t *testing.T) {
	g := NewWithT(t)
	g.Expect(config.Preflight(t.Context(), admin, "")).To(BeEmpty())
	name := metav1.ObjectMeta{Name: "holdfast-approval"}
	for _, o := range []client.Object{&admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: name}, &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: name}} {
		g.Expect(as(t, "").Delete(t.Context(), o)).To(Succeed())
	}
	defer func() { g.Expect(config.Install(t.Context(), admin, io.Discard)).To(Succeed()) }()
	g.Expect(config.Preflight(t.Context(), admin, "")).To(ConsistOf(MatchError(And(
		HavePrefix("ValidatingAdmissionPolicy holdfast-approval is not installed (2 of "), ContainSubstring("apply config/admission")))))

	nobody := rest.CopyConfig(admin)
	nobody.Impersonate = rest.ImpersonationConfig{UserName: "nobody", Groups: []string{"system:authenticated"}}
	g.Expect(config.Preflight(t.Context(), nobody, "")).To(ConsistOf(MatchError(ContainSubstring("this account may not "))))
}
