package controller_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	backupv1 "github.com/holdfast-dev/holdfast/examples/backup/api/v1"
	"github.com/holdfast-dev/holdfast/examples/backup/controller"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/postgres"
)

func TestBackup(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "backup example")
}

var (
	env *testenv.Env
	c   client.Client
)

var _ = BeforeSuite(func(ctx SpecContext) {
	testenv.LogTo = GinkgoWriter
	var err error
	env, err = testenv.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
	_, err = envtest.InstallCRDs(env.Config, envtest.CRDInstallOptions{Paths: []string{filepath.Join("..", "config", "backups.example.com_backups.yaml")}})
	Expect(err).NotTo(HaveOccurred())
	scheme, err := controller.Scheme()
	Expect(err).NotTo(HaveOccurred())
	c, err = client.New(env.Config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	Expect(grant(ctx)).To(Succeed())
}, NodeTimeout(5*testenv.LongTimeout))

var _ = AfterSuite(func() { Expect(env.Stop()).To(Succeed()) })

// account is who the operator runs as: it has the rights of config/rbac.yaml and no others.
const account = "system:serviceaccount:backups:operator"

func grant(ctx context.Context) error {
	text, err := os.ReadFile(filepath.Join("..", "config", "rbac.yaml"))
	if err != nil {
		return err
	}
	role := &rbacv1.ClusterRole{}
	if err := yaml.UnmarshalStrict(text, role); err != nil {
		return err
	}
	admin, err := client.New(env.Config, client.Options{Scheme: env.Scheme})
	if err != nil {
		return err
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: account}},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
	}
	return errors.Join(admin.Create(ctx, role), admin.Create(ctx, binding))
}

// operator is what main does.
func operator(ctx context.Context) (stop func() error) {
	GinkgoHelper()
	skip := true
	as := rest.CopyConfig(env.Config)
	as.Impersonate.UserName = account
	mgr, err := ctrl.NewManager(as, ctrl.Options{
		Scheme: c.Scheme(), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: &skip},
	})
	Expect(err).NotTo(HaveOccurred())
	s, err := postgres.Open(ctx, env.DatabaseURL, postgres.Options{})
	Expect(err).NotTo(HaveOccurred())
	Expect(controller.Setup(mgr, s)).To(Succeed())
	run, err := testenv.Run(mgr)
	Expect(err).NotTo(HaveOccurred())
	return func() error {
		err := run()
		s.Close()
		return err
	}
}

func configMap(ns, name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Data: map[string]string{"color": value}}
}

func backup(ns string) *backupv1.Backup {
	return &backupv1.Backup{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "settings"},
		Spec:       backupv1.BackupSpec{Source: "settings", Target: "settings-copy", EverySeconds: 1},
	}
}

func events(ctx context.Context, uid types.UID) []string {
	GinkgoHelper()
	rows, err := env.Rows(ctx, "resource_audit", uid)
	Expect(err).NotTo(HaveOccurred())
	var all []string
	for _, row := range rows {
		all = append(all, row["event"].(string))
	}
	return all
}

var _ = Describe("a kind that embeds the outbox", func() {
	It("keeps a trail of every copy in resource_audit, and is held in deletion until it is there", func(ctx SpecContext) {
		stop := operator(ctx)
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		ns := env.Namespace(ctx, "backup")
		Expect(c.Create(ctx, configMap(ns, "settings", "red"))).To(Succeed())
		b := backup(ns)
		Expect(c.Create(ctx, b)).To(Succeed())
		key := client.ObjectKeyFromObject(b)
		copied := func() string {
			target := &corev1.ConfigMap{}
			if err := c.Get(ctx, client.ObjectKey{Namespace: ns, Name: "settings-copy"}, target); err != nil {
				return ""
			}
			return target.Data["color"]
		}
		Eventually(copied, testenv.Timeout).Should(Equal("red"))
		Expect(c.Update(ctx, configMap(ns, "settings", "blue"))).To(Succeed())
		Eventually(copied, testenv.Timeout).Should(Equal("blue"))
		Eventually(func() []string { return events(ctx, b.UID) }, testenv.Timeout).Should(Equal(
			[]string{"CopyStarted", "CopyCompleted", "CopyStarted", "CopyCompleted"}))

		By("stopping the database and deleting the Backup")
		Expect(env.Postgres.Stop(ctx)).To(Succeed())
		Expect(c.Delete(ctx, b)).To(Succeed())
		held := &backupv1.Backup{}
		Eventually(func(g Gomega) {
			g.Expect(c.Get(ctx, key, held)).To(Succeed())
			g.Expect(held.Status.Phase).To(Equal(backupv1.PhaseDeleted))
		}, testenv.Timeout).Should(Succeed())
		Expect(held.Status.Outbox.Closed).To(BeTrue())
		Expect(held.Status.Outbox.Entries).NotTo(BeEmpty())
		Consistently(func() error { return c.Get(ctx, key, held) }, "1s", testenv.Interval).Should(Succeed())

		By("starting the database again")
		Expect(env.Postgres.Start(ctx)).To(Succeed())
		Eventually(func() bool { return apierrors.IsNotFound(c.Get(ctx, key, held)) }, testenv.LongTimeout).Should(BeTrue())
		rows, err := env.Rows(ctx, "resource_audit", b.UID)
		Expect(err).NotTo(HaveOccurred())
		Expect(rows).To(HaveLen(5))
		last := rows[4]
		Expect(last).To(HaveKeyWithValue("kind", "backups.example.com"))
		Expect(last).To(HaveKeyWithValue("event", "Deleted"))
		Expect(last).To(HaveKeyWithValue("final", true))
		var entry struct{ Record controller.Record }
		Expect(json.Unmarshal([]byte(last["entry"].(string)), &entry)).To(Succeed())
		Expect(entry.Record.Copies).To(BeEquivalentTo(2))
		Expect(copied()).To(Equal("blue"), "the copy outlives its Backup")
	}, NodeTimeout(2*testenv.LongTimeout))

	It("waits for its source, and goes on where another process stopped", func(ctx SpecContext) {
		ns := env.Namespace(ctx, "backup")
		b := backup(ns)
		Expect(c.Create(ctx, b)).To(Succeed())
		stop := operator(ctx)
		Eventually(func() []string { return events(ctx, b.UID) }, testenv.Timeout).Should(Equal([]string{"SourceMissing"}))
		Expect(stop()).To(Succeed())
		Expect(c.Create(ctx, configMap(ns, "settings", "red"))).To(Succeed())
		stop = operator(ctx)
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		Eventually(func() []string { return events(ctx, b.UID) }, testenv.Timeout).Should(Equal([]string{"SourceMissing", "CopyStarted", "CopyCompleted"}))
	}, NodeTimeout(2*testenv.LongTimeout))

	It("refuses to lose its outbox", func(ctx SpecContext) {
		ns := env.Namespace(ctx, "backup")
		b := backup(ns)
		Expect(c.Create(ctx, b)).To(Succeed())
		stop := operator(ctx)
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		Eventually(func() []string { return events(ctx, b.UID) }, testenv.Timeout).ShouldNot(BeEmpty())
		err := c.Status().Patch(ctx, b, client.RawPatch(types.MergePatchType, []byte(`{"status":{"outbox":null}}`)))
		Expect(err).To(MatchError(ContainSubstring("the outbox only grows at its end")))
	}, NodeTimeout(2*testenv.LongTimeout))

	It("comes with a sample that the API server takes", func(ctx SpecContext) {
		text, err := os.ReadFile(filepath.Join("..", "config", "sample.yaml"))
		Expect(err).NotTo(HaveOccurred())
		ns := env.Namespace(ctx, "backup")
		Expect(errors.Join(applyAll(ctx, ns, text)...)).To(Succeed())
	})
})
