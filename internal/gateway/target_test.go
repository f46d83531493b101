package gateway_test

import (
	"testing"

	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// Which workload an alert is about, or why it makes no request. Never another one.
func TestWhatAnAlertIsAbout(t *testing.T) {
	ns, other := tenant(t), tenant(t)
	r := start(t)
	podOf(t, ns, "cart")
	deployment(t, ns, "web")
	set := &appsv1.StatefulSet{ObjectMeta: owned(ns, "db", nil, "", ""), Spec: appsv1.StatefulSetSpec{Selector: selector, Template: template, ServiceName: "db"}}
	create(t, set)
	db := pod(t, owned(ns, "db-0", set, "apps/v1", "StatefulSet"))
	daemons := &appsv1.DaemonSet{ObjectMeta: owned(ns, "agent", nil, "", ""), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: template}}
	create(t, daemons)
	pod(t, owned(ns, "agent-x", daemons, "apps/v1", "DaemonSet"))
	bare := &appsv1.ReplicaSet{ObjectMeta: owned(ns, "bare", nil, "", ""), Spec: appsv1.ReplicaSetSpec{Selector: selector, Template: template}}
	create(t, bare)
	pod(t, owned(ns, "bare-x", bare, "apps/v1", "ReplicaSet"))
	pod(t, owned(ns, "alone", nil, "", ""))
	pod(t, owned(ns, "batch-x", set, "batch/v1", "Job"))
	pod(t, owned(ns, "rolled-x", set, "argoproj.io/v1alpha1", "Rollout"))
	replaced := owned(ns, "old-x", set, "apps/v1", "StatefulSet")
	replaced.OwnerReferences[0].UID = "00000000-0000-4000-8000-000000000000"
	pod(t, replaced)
	exporter := owned(ns, "metrics-x", set, "apps/v1", "StatefulSet")
	exporter.Labels["app.kubernetes.io/name"] = "kube-state-metrics"
	pod(t, exporter)

	for name, c := range map[string]struct {
		labels map[string]string
		kind   string // of the target; "" for none
		target string
		result string
		detail string
	}{
		"pod of a Deployment":                       {labelsOf(ns, "pod", "cart-6d4cf56db6-x2x7p"), "Deployment", "cart", "created", ""},
		"its ReplicaSet":                            {labelsOf(ns, "replicaset", "cart-6d4cf56db6"), "Deployment", "cart", "open", ""},
		"pod of a StatefulSet":                      {labelsOf(ns, "pod", "db-0", "uid", string(db.UID)), "StatefulSet", "db", "created", ""},
		"pod of a DaemonSet":                        {labelsOf(ns, "pod", "agent-x"), "DaemonSet", "agent", "created", ""},
		"a Deployment, and the pod of its exporter": {labelsOf(ns, "deployment", "web", "pod", "metrics-x", "job", "kube-state-metrics"), "Deployment", "web", "created", ""},
		"exported labels, and the exporter's own":   {labelsOf("monitoring", "exported_namespace", ns, "exported_pod", "cart-6d4cf56db6-x2x7p", "pod", "ksm-x"), "Deployment", "cart", "open", ""},
		"exported namespace of a deployment":        {labelsOf("monitoring", "exported_namespace", ns, "deployment", "web", "pod", "ksm-x"), "Deployment", "web", "open", ""},

		"exported namespace only":    {labelsOf("monitoring", "exported_namespace", ns, "pod", "cart-6d4cf56db6-x2x7p"), "", "", "no_target", "no label names a workload"},
		"exported pod only":          {labelsOf(ns, "exported_pod", "cart-6d4cf56db6-x2x7p"), "", "", "no_target", "expected exported_namespace"},
		"an exporter's own pod":      {labelsOf(ns, "pod", "metrics-x"), "", "", "exporter", `Pod "metrics-x" is an exporter`},
		"a PVC, and its exporter":    {labelsOf(ns, "persistentvolumeclaim", "data", "pod", "cart-6d4cf56db6-x2x7p"), "", "", "unsupported", "PersistentVolumeClaim"},
		"a Job, and its exporter":    {labelsOf(ns, "job_name", "backup", "pod", "cart-6d4cf56db6-x2x7p"), "", "", "unsupported", `the Job "backup"`},
		"job, service, instance":     {labelsOf(ns, "job", "cart", "service", "cart", "instance", "10.0.0.1:80", "container", "cart"), "", "", "no_target", "name who was scraped"},
		"two workloads":              {labelsOf(ns, "deployment", "web", "statefulset", "db"), "", "", "no_target", "deployment, statefulset name several"},
		"no namespace":               {map[string]string{"alertname": "X", "deployment": "web"}, "", "", "no_target", "label namespace is missing"},
		"a namespace without part":   {labelsOf("default", "deployment", "web"), "", "", "not_enabled", "has no label holdfast.dev/gateway=enabled"},
		"a namespace that is not":    {labelsOf("nowhere", "deployment", "web"), "", "", "not_enabled", "is not there"},
		"a namespace like a path":    {labelsOf("../"+ns, "deployment", "web"), "", "", "malformed", "label namespace"},
		"a name like a path":         {labelsOf(ns, "deployment", "../secrets/x"), "", "", "malformed", "label deployment"},
		"a name with a newline":      {labelsOf(ns, "pod", "cart\nx"), "", "", "malformed", "label pod"},
		"a workload of another one":  {labelsOf(other, "deployment", "web"), "", "", "gone", `Deployment "web" is not in namespace ` + other},
		"a pod that is gone":         {labelsOf(ns, "pod", "cart-6d4cf56db6-gone"), "", "", "gone", `Pod "cart-6d4cf56db6-gone" is not`},
		"a pod that was replaced":    {labelsOf(ns, "pod", "db-0", "uid", "00000000-0000-4000-8000-000000000000"), "", "", "gone", "there is another one of its name"},
		"a pod whose owner is gone":  {labelsOf(ns, "pod", "old-x"), "", "", "gone", `StatefulSet "db" with the uid`},
		"a pod alone":                {labelsOf(ns, "pod", "alone"), "", "", "unsupported", "has no owner"},
		"a pod of a Job":             {labelsOf(ns, "pod", "batch-x"), "", "", "unsupported", `owned by Job "db"`},
		"a pod of a Rollout":         {labelsOf(ns, "pod", "rolled-x"), "", "", "unsupported", `owned by Rollout "db" of argoproj.io`},
		"a pod of a bare ReplicaSet": {labelsOf(ns, "pod", "bare-x"), "", "", "unsupported", `ReplicaSet "bare" has no owner`},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			before := len(requests(t, ns))
			o := r.one(firing(c.labels))
			if c.kind == "" {
				g.Expect(o.Result).To(Equal(c.result), o.Detail)
				g.Expect(o.Detail).To(ContainSubstring(c.detail))
				g.Expect(o.Request).To(BeEmpty())
				g.Expect(requests(t, ns)).To(HaveLen(before))
				return
			}
			g.Expect(o.Result).To(BeElementOf("created", "open"), o.Detail) // the cases come in any order
			var made *v1alpha1.RemediationRequest
			for _, rr := range requests(t, ns) {
				if rr.Name == o.Request {
					made = &rr
				}
			}
			g.Expect(made).NotTo(BeNil())
			g.Expect(made.Spec.Target).To(Equal(v1alpha1.Target{APIVersion: "apps/v1", Kind: c.kind, Name: c.target}))
		})
	}
	NewWithT(t).Expect(requests(t, ns)).To(HaveLen(4), "one a workload")
}
