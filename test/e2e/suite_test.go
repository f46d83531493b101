//go:build unix

package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	_ "github.com/jackc/pgx/v5/stdlib"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var (
	stack   *dev.Stack
	program string
	ctx     = context.Background()
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctrl.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "holdfast-e2e-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "holdfast")
	if err := testenv.BuildProgram(ctx, program, os.Stdout); err != nil {
		fmt.Println(err)
		return 1
	}
	stack, err = dev.Start(ctx, dev.Options{Dir: filepath.Join(dir, "state"), InfraOnly: true, Program: program, Progress: os.Stdout})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	code := m.Run()
	if err := stack.Stop(); err != nil {
		fmt.Println(err)
		return 1
	}
	return code
}

// fixture is a namespace with an account that may repair what is in it.
type fixture struct {
	*WithT
	t         *testing.T
	client    client.Client
	namespace string
	database  *sql.DB
}

func setup(t *testing.T) *fixture {
	f := &fixture{WithT: NewWithT(t), t: t}
	f.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	f.SetDefaultEventuallyPollingInterval(testenv.Interval)
	var err error
	f.client, err = client.New(stack.Cluster.RESTConfig(), client.Options{Scheme: testenv.Scheme()})
	f.Expect(err).NotTo(HaveOccurred())
	f.database, err = sql.Open("pgx", stack.Postgres.URL())
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.database.Close() })
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	f.create(ns)
	f.namespace = ns.Name
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"}})
	f.create(&rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"deployments", "statefulsets", "daemonsets", "replicasets"}, Verbs: []string{"get", "list", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
	}})
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "remediator"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: "remediator", Namespace: f.namespace}}})
	return f
}

func (f *fixture) create(o client.Object) { f.Expect(f.client.Create(ctx, o)).To(Succeed()) }

// start runs one of our programs as a process of its own, with nothing of this process's environment, and waits until an address answers 200; the test's end stops it.
func (f *fixture) start(name string, env []string, ready string, args ...string) *localcluster.Running {
	p, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name:  name,
		Path:  program,
		Args:  args,
		Env:   env,
		Log:   f.log(name),
		Ready: localcluster.Answers(ready),
	})
	f.Expect(err).NotTo(HaveOccurred())
	f.t.Cleanup(func() { f.Expect(p.Stop(20 * time.Second)).To(Succeed()) })
	return p
}

// manager runs `holdfast manager`, which drains into a database.
func (f *fixture) manager(database string, args ...string) *localcluster.Running {
	return f.managerOf("manager", []string{"KUBECONFIG=" + stack.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database}, args...)
}

func (f *fixture) managerOf(name string, env []string, args ...string) *localcluster.Running {
	health := freeAddress(f)
	return f.start(name, env, "http://"+health+"/readyz", append([]string{"manager", "--metrics-bind-address=0", "--health-probe-bind-address", health, "--idle-trim-delay=500ms"}, args...)...)
}

func (f *fixture) log(name string) string {
	return filepath.Join(stack.Dir, "logs", f.t.Name()+"-"+name+".log")
}

func freeAddress(f *fixture) string {
	address, err := localcluster.FreeAddress()
	f.Expect(err).NotTo(HaveOccurred())
	return address
}

// broken makes a Deployment whose last rollout crash-loops.
func (f *fixture) broken(name string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/" + name + ":v1"}}}},
	}}
	f.create(d)
	f.Eventually(func() int32 { f.read(d); return d.Status.AvailableReplicas }).Should(BeEquivalentTo(1))
	f.Expect(f.client.Patch(ctx, d, client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.com/`+name+`:crash"}]}}}}`)))).To(Succeed())
	f.Eventually(func() bool {
		pods := &corev1.PodList{}
		f.Expect(f.client.List(ctx, pods, client.InNamespace(f.namespace), client.MatchingLabels(labels))).To(Succeed())
		for _, p := range pods.Items {
			for _, s := range p.Status.ContainerStatuses {
				if s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff" {
					return true
				}
			}
		}
		return false
	}).Should(BeTrue())
	return d
}

func (f *fixture) read(o client.Object) {
	f.Expect(f.client.Get(ctx, client.ObjectKeyFromObject(o), o)).To(Succeed())
}

func (f *fixture) gone(o client.Object) func() bool {
	return func() bool {
		return apierrors.IsNotFound(f.client.Get(ctx, client.ObjectKeyFromObject(o), o.DeepCopyObject().(client.Object)))
	}
}

func (f *fixture) phase(rr *v1alpha1.RemediationRequest) func() v1alpha1.RemediationPhase {
	return func() v1alpha1.RemediationPhase {
		got := &v1alpha1.RemediationRequest{}
		f.Expect(client.IgnoreNotFound(f.client.Get(ctx, client.ObjectKeyFromObject(rr), got))).To(Succeed())
		return got.Status.Phase
	}
}

var tables = []string{"orchestration_audit", "ai_analysis_audit", "workflow_execution_audit", "notification_audit"}

// drained waits until no resource of this namespace shows an entry that is not durable. What is gone was drained before.
func (f *fixture) drained() {
	f.t.Helper()
	f.Eventually(func(g Gomega) {
		for _, list := range []client.ObjectList{&v1alpha1.RemediationRequestList{}, &v1alpha1.AIAnalysisList{}, &v1alpha1.WorkflowExecutionList{}, &v1alpha1.NotificationRequestList{}} {
			g.Expect(f.client.List(ctx, list, client.InNamespace(f.namespace))).To(Succeed())
			g.Expect(meta.EachListItem(list, func(item runtime.Object) error {
				if o := item.(outbox.Object); outboxapi.Get(o).IsZero() || len(outboxapi.Get(o).Entries) > 0 {
					return fmt.Errorf("%T %s is not drained", o, o.GetName())
				}
				return nil
			})).To(Succeed())
		}
	}).Should(Succeed())
}

// whole checks the rows of this namespace, in plain SQL: each resource's sequences run from 1 without a gap, exactly the last is final, and there are no dead letters.
func (f *fixture) whole() {
	f.t.Helper()
	f.drained()
	for _, table := range tables {
		var resources, wrong int
		f.Expect(f.database.QueryRow(`SELECT count(*), count(*) FILTER (WHERE n <> last OR first <> 1 OR finals <> 1 OR final_at <> last) FROM (
			SELECT count(*) n, min(sequence) first, max(sequence) last, count(*) FILTER (WHERE final) finals, max(sequence) FILTER (WHERE final) final_at
			FROM `+table+` WHERE source_namespace = $1 GROUP BY source_uid) r`, f.namespace).Scan(&resources, &wrong)).To(Succeed())
		f.Expect(wrong).To(BeZero(), "%d of %d resources in %s", wrong, resources, table)
	}
	var dead int
	f.Expect(f.database.QueryRow(`SELECT count(*) FROM audit_dead_letter WHERE entry LIKE '%' || $1 || '%'`, f.namespace).Scan(&dead)).To(Succeed())
	f.Expect(dead).To(BeZero())
}

func (f *fixture) lastEvent(table string, uid types.UID) (event string) {
	err := f.database.QueryRow(`SELECT event FROM `+table+` WHERE source_uid = $1 ORDER BY sequence DESC LIMIT 1`, string(uid)).Scan(&event)
	f.Expect(err).To(Or(Not(HaveOccurred()), MatchError(sql.ErrNoRows)))
	return event
}
