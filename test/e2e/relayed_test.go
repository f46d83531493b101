//go:build unix

package e2e

import (
	"io"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/storageapi"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/verify"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

// storage runs the Data Storage API in front of a database, at an address.
func (f *fixture) storage(address, database string) *localcluster.Running {
	return f.start("storage", []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database}, "http://"+address+"/readyz",
		"storage", "--insecure-http", "--bind-address", address)
}

// relay makes an account that may relay, in the cluster that the service asks, and returns its token.
func (f *fixture) relay(name string) string {
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}}
	f.create(account)
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{GenerateName: "relay-"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"holdfast.dev"}, Resources: []string{"auditrecords"}, Verbs: []string{"create", "relay"}}}}
	f.create(role)
	f.create(&rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: f.namespace}}})
	token := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{storageapi.DefaultAudience}}}
	f.Expect(f.client.SubResource("token").Create(ctx, account, token)).To(Succeed())
	return token.Status.Token
}

// Two clusters write into one database, and only the service knows that database. The service is killed in the middle.
func TestTwoClustersOverTheDataStorageAPI(t *testing.T) {
	f := setup(t)
	west, err := localcluster.Start(ctx, localcluster.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(west.Stop()).To(Succeed()) })
	f.Expect(config.Install(ctx, west.RESTConfig(), nil)).To(Succeed())
	clients := map[string]client.Client{"east": f.client}
	clients["west"], err = client.New(west.RESTConfig(), client.Options{Scheme: testenv.Scheme()})
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(clients["west"].Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}})).To(Succeed())

	database, err := stack.Postgres.CreateDatabase(ctx, "two_clusters")
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(migrations.Up(ctx, database, io.Discard)).To(Succeed())
	address := freeAddress(f)
	service := f.storage(address, database)
	for name, kubeconfig := range map[string]string{"east": stack.Cluster.Kubeconfig(), "west": west.Kubeconfig()} {
		f.managerOf("manager-"+name, []string{"KUBECONFIG=" + kubeconfig, "HOLDFAST_STORE_URL=http://" + address, "HOLDFAST_STORAGE_TOKEN=" + f.relay(name)}, "--cluster-name", name, "--namespaces", f.namespace)
	}

	requests := map[string]*v1alpha1.RemediationRequest{}
	round := func(name string) {
		for cluster, c := range clients {
			requests[cluster] = testenv.MakeRemediation(f.namespace, name).Auto(80).Obj() // of a target that is not there: it ends without a workflow
			f.Expect(c.Create(ctx, requests[cluster])).To(Succeed())
		}
	}
	ended := func() {
		for cluster, c := range clients {
			rr := requests[cluster]
			f.Eventually(func() (string, error) {
				err := c.Get(ctx, client.ObjectKeyFromObject(rr), rr)
				return string(rr.Status.Phase), err
			}).Should(Or(Equal("Failed"), Equal("Completed")))
		}
	}
	round("first")
	ended()
	f.Expect(service.Kill()).To(Succeed())
	round("second") // nobody takes the entries
	ended()
	for cluster, c := range clients {
		f.Expect(c.Delete(ctx, requests[cluster])).To(Succeed())
		f.Expect(c.Get(ctx, client.ObjectKeyFromObject(requests[cluster]), requests[cluster])).To(Succeed(), "it is held until its rows are there")
	}
	f.storage(address, database)
	for cluster, c := range clients {
		f.Eventually(func() error {
			return c.Get(ctx, client.ObjectKeyFromObject(requests[cluster]), requests[cluster])
		}).Should(MatchError(ContainSubstring("not found")))
	}

	there, err := postgres.Open(ctx, database, postgres.Options{})
	f.Expect(err).NotTo(HaveOccurred())
	defer there.Close()
	var rows []string
	f.Expect(there.DB().NewRaw(`SELECT source_cluster || ' ' || source_name FROM orchestration_audit WHERE final AND recorded_by IS NULL ORDER BY 1`).Scan(ctx, &rows)).To(Succeed())
	f.Expect(rows).To(Equal([]string{"east first", "east second", "west first", "west second"}))
	report, err := verify.Run(ctx, there, nil, verify.Options{}, func(found verify.Finding) { t.Errorf("%+v", found) })
	f.Expect(err).NotTo(HaveOccurred())
	f.Expect(report.Intact).To(BeTrue())
}
