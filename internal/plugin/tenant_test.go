//go:build unix

package plugin_test

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// Whoever creates a resource chooses its owner, and the API server takes any text as a kind. None of it is a flag of the command that somebody pastes, or floods a terminal.
func TestAnOwnerIsNoFlag(t *testing.T) {
	f := setup(t)
	owners := []metav1.OwnerReference{
		{Kind: "--server=https://evil.example", Name: "x"}, {Kind: "-fhttps://evil.example", Name: "x.yaml"}, {Kind: "-k", Name: "x"}, {Kind: "Pod --all", Name: "x"},
		{Kind: "Thing", Name: "../../x"}, {Kind: "Thing", Name: strings.Repeat("x", 10_000)}, {Kind: strings.Repeat("x", 10_000), Name: "x"},
	}
	for i, owner := range owners {
		nr := testenv.MakeNotification(f.namespace, fmt.Sprintf("news-%d", i)).Obj()
		owner.APIVersion, owner.UID = "evil.example/v1", "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11"
		nr.OwnerReferences = []metav1.OwnerReference{owner}
		f.create(nr)
	}
	f.manager(stack.Postgres.URL())
	for i := range owners {
		ref := fmt.Sprintf("nr/news-%d", i)
		f.Expect(f.in("wait", ref, "--for=Sent", "--timeout=2m").Code).To(BeZero())
		f.Expect(f.in("wait", ref, "--for=drained", "--timeout=2m").Code).To(BeZero())
		e := f.is(ref, "KeptByOwner")
		f.Expect(e.Command).To(Equal(fmt.Sprintf("kubectl describe notificationrequest.holdfast.dev/news-%d -n %s", i, f.namespace)))
		f.Expect(len(e.Why)).To(BeNumerically("<", 1000))
	}
}
