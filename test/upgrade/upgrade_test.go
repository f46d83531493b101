//go:build unix

package upgrade

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	_ "github.com/jackc/pgx/v5/stdlib"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/verify"
	"github.com/holdfast-dev/holdfast/postgres"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

// installation is a cluster and a database that live through all versions.
type installation struct {
	*WithT
	t        *testing.T
	cluster  *localcluster.Cluster
	postgres *localcluster.Postgres
	client   client.Client
	dir      string
	managers int
	requests []*v1alpha1.RemediationRequest
}

func install(t *testing.T) *installation {
	i := &installation{WithT: NewWithT(t), t: t, dir: t.TempDir()}
	i.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	i.SetDefaultEventuallyPollingInterval(testenv.Interval)
	var err error
	i.cluster, err = localcluster.Start(t.Context(), localcluster.Options{Profile: localcluster.ControlPlane})
	i.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { i.Expect(i.cluster.Stop()).To(Succeed()) })
	i.postgres, err = localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	i.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { i.Expect(i.postgres.Close()).To(Succeed()) })
	i.client, err = client.New(i.cluster.RESTConfig(), client.Options{Scheme: testenv.Scheme()})
	i.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"holdfast-system", "shop"} {
		i.Expect(i.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
	}
	return i
}

func (i *installation) env() []string {
	return []string{"KUBECONFIG=" + i.cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + i.postgres.URL()}
}

// command runs a program of a version to its end.
func (i *installation) command(program string, args ...string) {
	i.t.Helper()
	c := exec.CommandContext(i.t.Context(), program, args...)
	c.Env = i.env()
	out, err := c.CombinedOutput()
	i.Expect(err).NotTo(HaveOccurred(), "%s %v:\n%s", program, args, out)
}

// apply applies a version's manifests, as `kubectl apply -k --server-side` does, as soon as the API server knows their kinds.
func (i *installation) apply(folders ...string) {
	i.t.Helper()
	for _, folder := range folders {
		built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
		i.Expect(err).NotTo(HaveOccurred())
		for _, resource := range built.Resources() {
			text, err := resource.MarshalJSON()
			i.Expect(err).NotTo(HaveOccurred())
			o := &unstructured.Unstructured{}
			i.Expect(o.UnmarshalJSON(text)).To(Succeed())
			i.Eventually(func() error {
				return i.client.Apply(i.t.Context(), client.ApplyConfigurationFromUnstructured(o.DeepCopy()), client.FieldOwner(config.FieldManager), client.ForceOwnership)
			}).Should(Succeed(), "%s %s", o.GetKind(), o.GetName())
		}
	}
}

// manager starts a version's manager.
func (i *installation) manager(program string) *localcluster.Running {
	i.t.Helper()
	health, err := localcluster.FreeAddress()
	i.Expect(err).NotTo(HaveOccurred())
	i.managers++
	p, err := localcluster.StartProgram(context.WithoutCancel(i.t.Context()), localcluster.Program{
		Name: "manager", Path: program, Env: i.env(), Log: filepath.Join(i.dir, fmt.Sprintf("manager-%d.log", i.managers)),
		Args:  []string{"manager", "--metrics-bind-address=0", "--health-probe-bind-address", health, "--idle-trim-delay=500ms"},
		Ready: localcluster.Answers("http://" + health + "/readyz"),
	})
	i.Expect(err).NotTo(HaveOccurred())
	i.t.Cleanup(func() { i.Expect(p.Kill()).To(Succeed()) })
	return p
}

// remediate makes requests whose target is not there, so that they end by themselves.
func (i *installation) remediate(round string) {
	i.t.Helper()
	for n := range 4 {
		rr := testenv.MakeRemediation("shop", fmt.Sprintf("%s%d", round, n)).Auto(80).Obj()
		i.Eventually(func() error { return i.client.Create(i.t.Context(), rr) }).Should(Succeed())
		i.requests = append(i.requests, rr)
	}
}

func (i *installation) read(rr *v1alpha1.RemediationRequest) *v1alpha1.RemediationRequest {
	got := &v1alpha1.RemediationRequest{}
	i.Expect(i.client.Get(i.t.Context(), client.ObjectKeyFromObject(rr), got)).To(Succeed())
	return got
}

// ended waits until every request has its final phase, durable or not.
func (i *installation) ended() {
	i.t.Helper()
	for _, rr := range i.requests {
		i.Eventually(func() bool { return i.read(rr).Status.Phase.Final() }).Should(BeTrue(), rr.Name)
	}
}

// pending says that the entries of the last requests are nowhere but in their resources.
func (i *installation) pending() {
	i.t.Helper()
	for _, rr := range i.requests[len(i.requests)-4:] {
		outbox := i.read(rr).Status.Outbox
		i.Expect(outbox.Entries).To(HaveLen(int(outbox.LastSequence)), "nothing was trimmed")
	}
}

// durable waits until every record has ended and its outbox is empty, and counts the rows in plain SQL.
func (i *installation) durable() {
	i.t.Helper()
	database, err := sql.Open("pgx", i.postgres.URL())
	i.Expect(err).NotTo(HaveOccurred())
	defer database.Close()
	for _, rr := range i.requests {
		i.Eventually(func() bool { o := i.read(rr).Status.Outbox; return o != nil && o.Closed && len(o.Entries) == 0 }).Should(BeTrue(), rr.Name)
		var rows, last int64
		i.Expect(database.QueryRowContext(i.t.Context(), `SELECT count(*), max(sequence) FROM orchestration_audit WHERE source_uid = $1`, string(rr.UID)).Scan(&rows, &last)).To(Succeed())
		i.Expect([]int64{rows, last}).To(HaveEach(i.read(rr).Status.Outbox.LastSequence), rr.Name)
	}
	store, err := postgres.Open(i.t.Context(), i.postgres.URL(), postgres.Options{})
	i.Expect(err).NotTo(HaveOccurred())
	defer store.Close()
	report, err := verify.Run(i.t.Context(), store, nil, verify.Options{}, func(found verify.Finding) { i.t.Errorf("%+v", found) })
	i.Expect(err).NotTo(HaveOccurred())
	i.Expect(report.Intact).To(BeTrue())
}

// outage lets the current manager append entries that it cannot store, and ends it as a crash would.
func (i *installation) outage(manager *localcluster.Running, round string) {
	i.t.Helper()
	i.Expect(i.postgres.Stop(i.t.Context())).To(Succeed())
	i.remediate(round)
	i.ended()
	i.pending()
	i.Expect(manager.Kill()).To(Succeed())
	i.Expect(i.postgres.Start(i.t.Context())).To(Succeed())
}

func TestUpgradeAndBackWithEntriesPending(t *testing.T) {
	old := TheReleaseBefore(t)
	t.Logf("upgrading from %s", old.Name)
	now := filepath.Join(t.TempDir(), "holdfast")
	i := install(t)
	i.Expect(testenv.BuildProgram(t.Context(), now, io.Discard)).To(Succeed())

	i.command(old.Program, "migrate", "up")
	manifests := []string{"crd", "rbac", "admission"}
	for n, folder := range manifests {
		manifests[n] = filepath.Join(old.Source, "config", folder)
	}
	i.apply(manifests...)
	manager := i.manager(old.Program)
	i.remediate("first")
	i.durable()

	// The order of docs/upgrading.md: schema, CRDs and policies, manager. The old manager runs until the new one does.
	i.outage(manager, "pending")
	i.command(now, "migrate", "up")
	manager = i.manager(old.Program)
	i.durable() // the old manager writes into the new schema
	i.outage(manager, "again")
	i.Expect(config.Install(t.Context(), i.cluster.RESTConfig(), io.Discard)).To(Succeed())
	manager = i.manager(now)
	i.durable() // entries that the old manager appended
	i.remediate("new")
	i.durable()

	// And back: the manager only. Schema, CRDs and policies stay.
	i.outage(manager, "back")
	manager = i.manager(old.Program)
	i.durable() // entries that the new manager appended
	i.command(old.Program, "verify")
	i.Expect(manager.Stop(20 * time.Second)).To(Succeed())
	i.manager(now)
	for _, rr := range i.requests {
		i.Expect(i.client.Delete(t.Context(), rr)).To(Succeed())
		i.Eventually(func() error { return i.client.Get(t.Context(), client.ObjectKeyFromObject(rr), rr) }).Should(MatchError(ContainSubstring("not found")))
	}
	i.command(now, "verify")
}
