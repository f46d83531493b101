package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/local/dev"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// remediation takes crashing Deployments from the signal to the closed record, one after the other, on a whole cluster (with its own controllers and a simulated node)
// and with `holdfast manager` as a process. What the workflow does and waits for is the cluster's time, and left out.
func remediation(ctx context.Context, b *bench) (err error) {
	stack, err := dev.Start(ctx, dev.Options{InfraOnly: true, Program: b.program})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	f, err := newShop(ctx, b, stack)
	if err != nil {
		return err
	}
	defer f.database.Close(context.WithoutCancel(ctx))
	manager, err := b.startManager(ctx, stack.Cluster.Kubeconfig(), stack.Postgres.URL())
	if err != nil {
		return err
	}
	defer func() { _ = manager.end() }()
	var all []times
	rounds := b.rounds(5)
	for i := range rounds {
		t, err := f.remediate(ctx, fmt.Sprintf("cart-%d", i))
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	column := func(of func(times) float64) []float64 {
		var s sample
		for _, t := range all {
			s = append(s, of(t))
		}
		return s
	}
	b.report.add("remediation", "signal → closed record, the workflow's time left out", "ms", "", column(func(t times) float64 { return milliseconds(t.total - t.executing) })...)
	b.report.add("remediation", "of it: signal → first entry", "ms", "", column(func(t times) float64 { return milliseconds(t.received) })...)
	b.report.add("remediation", "of it: analysis and approval", "ms", "", column(func(t times) float64 { return milliseconds(t.analyzing) })...)
	b.report.add("remediation", "of it: notification", "ms", "", column(func(t times) float64 { return milliseconds(t.notifying) })...)
	b.report.add("remediation", "the workflow: steps, waits and checks on the target", "ms", "", column(func(t times) float64 { return milliseconds(t.executing) })...)
	b.report.add("remediation", "closed record → last row of all four kinds", "ms", "", column(func(t times) float64 { return milliseconds(t.durable) })...)
	b.report.add("remediation", "writes to Holdfast's resources, the trims and releases among them", "writes", "", column(func(t times) float64 { return t.writes })...)
	b.report.add("remediation", "rows", "", "", column(func(t times) float64 { return t.rows })...)
	return nil
}

// times of one remediation.
type times struct {
	total, received, analyzing, executing, notifying, durable time.Duration
	writes, rows                                              float64
}

// shop is a namespace with an account that may repair what is in it.
type shop struct {
	client    client.Client
	servers   kubernetes.Interface
	database  *pgx.Conn
	namespace string
}

func newShop(ctx context.Context, b *bench, stack *dev.Stack) (*shop, error) {
	f := &shop{namespace: "shop"}
	var err error
	if f.client, err = client.New(stack.Cluster.RESTConfig(), client.Options{Scheme: b.env.Scheme}); err != nil {
		return nil, err
	}
	if f.servers, err = kubernetes.NewForConfig(stack.Cluster.RESTConfig()); err != nil {
		return nil, err
	}
	if f.database, err = pgx.Connect(ctx, stack.Postgres.URL()); err != nil {
		return nil, err
	}
	meta := metav1.ObjectMeta{Namespace: f.namespace, Name: "remediator"}
	for _, o := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.namespace}},
		&corev1.ServiceAccount{ObjectMeta: meta},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{"apps"}, Resources: []string{"deployments", "replicasets"}, Verbs: []string{"get", "list", "patch"}},
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
			{APIGroups: []string{""}, Resources: []string{"pods/eviction"}, Verbs: []string{"create"}},
		}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: meta.Name, Namespace: f.namespace}}},
	} {
		if err := f.client.Create(ctx, o); err != nil {
			return nil, errors.Join(err, f.database.Close(ctx))
		}
	}
	return f, nil
}

// remediate breaks a Deployment, sends the signal, and reads the times from the rows.
func (f *shop) remediate(ctx context.Context, name string) (t times, _ error) {
	if err := f.breakDeployment(ctx, name); err != nil {
		return t, err
	}
	before, err := writesTo(ctx, f.servers, v1alpha1.GroupVersion.Group)
	if err != nil {
		return t, err
	}
	rr := testenv.MakeRemediation(f.namespace, name).Auto(80).Obj()
	signal := time.Now()
	if err := f.client.Create(ctx, rr); err != nil {
		return t, err
	}
	err = wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		err := f.client.Get(ctx, keyOf(rr), rr)
		return err == nil && rr.Status.Outbox != nil && rr.Status.Outbox.Closed && len(rr.Status.Outbox.Entries) == 0 && f.drained(ctx), err
	})
	if err != nil {
		return t, fmt.Errorf("remediation of %s in phase %s: %w", name, rr.Status.Phase, err)
	}
	if rr.Status.Phase != v1alpha1.RemediationCompleted {
		return t, fmt.Errorf("remediation of %s ended %s", name, rr.Status.Phase)
	}
	after, err := writesTo(ctx, f.servers, v1alpha1.GroupVersion.Group)
	if err != nil {
		return t, err
	}
	t.writes = after.since(before).total() - 1 // the signal's own
	err = f.read(ctx, string(rr.UID), signal, &t)
	return t, err
}

// drained reports whether no resource has anything pending: the last trims are among the writes that are counted.
func (f *shop) drained(ctx context.Context) bool {
	requests, analyses := &v1alpha1.NotificationRequestList{}, &v1alpha1.AIAnalysisList{}
	workflows := &v1alpha1.WorkflowExecutionList{}
	if f.client.List(ctx, requests) != nil || f.client.List(ctx, analyses) != nil || f.client.List(ctx, workflows) != nil {
		return false
	}
	drained := true
	for i := range requests.Items {
		drained = drained && len(requests.Items[i].Finalizers) == 0
	}
	for i := range analyses.Items {
		drained = drained && len(analyses.Items[i].Finalizers) == 0
	}
	for i := range workflows.Items {
		drained = drained && len(workflows.Items[i].Finalizers) == 0
	}
	return drained
}

// read takes the times from the trail. The clocks are one: everything runs on this machine.
func (f *shop) read(ctx context.Context, uid string, signal time.Time, t *times) error {
	at := map[string]time.Time{}
	rows, err := f.database.Query(ctx, "SELECT phase, min(recorded_at) FROM orchestration_audit WHERE source_uid = $1 GROUP BY phase", uid)
	if err != nil {
		return err
	}
	var phase string
	var when time.Time
	if _, err := pgx.ForEachRow(rows, []any{&phase, &when}, func() error { at[phase] = when; return nil }); err != nil {
		return err
	}
	t.total = at["Completed"].Sub(signal)
	t.received = at["Pending"].Sub(signal)
	t.analyzing = at["Executing"].Sub(at["Pending"])
	t.executing = at["Notifying"].Sub(at["Executing"])
	t.notifying = at["Completed"].Sub(at["Notifying"])
	var last time.Time
	err = f.database.QueryRow(ctx, `SELECT count(*)::float8, max(created_at) FROM (
		SELECT created_at, remediation_id FROM orchestration_audit UNION ALL SELECT created_at, remediation_id FROM ai_analysis_audit
		UNION ALL SELECT created_at, remediation_id FROM workflow_execution_audit UNION ALL SELECT created_at, remediation_id FROM notification_audit) r
		WHERE remediation_id = $1`, uid).Scan(&t.rows, &last)
	t.durable = last.Sub(at["Completed"])
	return err
}

// breakDeployment rolls out an image that crash-loops.
func (f *shop) breakDeployment(ctx context.Context, name string) error {
	labels := map[string]string{"app": name}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](1),
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "example.com/" + name + ":v1"}}}},
	}}
	if err := f.client.Create(ctx, d); err != nil {
		return err
	}
	err := wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		err := f.client.Get(ctx, keyOf(d), d)
		return err == nil && d.Status.AvailableReplicas == 1, err
	})
	if err != nil {
		return fmt.Errorf("%s does not become available: %w", name, err)
	}
	crash := client.RawPatch(types.StrategicMergePatchType, []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"example.com/`+name+`:crash"}]}}}}`))
	if err := f.client.Patch(ctx, d, crash); err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, testenv.Interval, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		pods := &corev1.PodList{}
		if err := f.client.List(ctx, pods, client.InNamespace(f.namespace), client.MatchingLabels(labels)); err != nil {
			return false, err
		}
		for i := range pods.Items {
			for _, s := range pods.Items[i].Status.ContainerStatuses {
				if s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff" {
					return true, nil
				}
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("%s does not crash: %w", name, err)
	}
	return nil
}
