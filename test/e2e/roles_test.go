//go:build unix

package e2e

import (
	"testing"

	. "github.com/onsi/gomega"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// `holdfast dev` has the roles of config/rbac: a RoleBinding is all that a person needs.
func TestTheRolesCanBeBound(t *testing.T) {
	f := setup(t)
	for user, role := range map[string]string{"approver": "holdfast-approver", "requester": "holdfast-requester", "viewer": "holdfast-viewer", "member": "view"} {
		f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: user},
			RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}})
		config := rest.CopyConfig(stack.Cluster.RESTConfig())
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
		c, err := client.New(config, client.Options{Scheme: testenv.Scheme()})
		f.Expect(err).NotTo(HaveOccurred())
		for _, list := range []client.ObjectList{&v1alpha1.RemediationRequestList{}, &v1alpha1.AIAnalysisList{}, &v1alpha1.WorkflowExecutionList{}, &v1alpha1.NotificationRequestList{}} {
			f.Eventually(func() error { return c.List(ctx, list, client.InNamespace(f.namespace)) }).Should(Succeed(), "%s as %s: %T", user, role, list)
		}
	}
}
