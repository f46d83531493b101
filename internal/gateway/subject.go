package gateway

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/holdfast-dev/holdfast/outbox"
)

// subject is the object that an alert's labels name. For a pod uid may be known.
type subject struct {
	namespace, kind, name string
	uid                   types.UID
	// exported: the namespace is an exporter's word, and exporter is where that runs; "" if no label says so.
	exported bool
	exporter string
}

// workloadLabels name a workload. They come before the pod: a series about a workload has the pod of its exporter beside it.
var workloadLabels = []struct{ label, kind string }{
	{"deployment", "Deployment"}, {"statefulset", "StatefulSet"}, {"daemonset", "DaemonSet"}, {"replicaset", "ReplicaSet"},
}

// otherLabels name objects that no workflow changes. With one of them the pod is that of an exporter, or the alert is not about the pod.
var otherLabels = []struct{ label, kind string }{
	{"job_name", "Job"}, {"cronjob", "CronJob"}, {"horizontalpodautoscaler", "HorizontalPodAutoscaler"}, {"persistentvolumeclaim", "PersistentVolumeClaim"},
	{"poddisruptionbudget", "PodDisruptionBudget"}, {"resourcequota", "ResourceQuota"}, {"ingress", "Ingress"}, {"configmap", "ConfigMap"}, {"secret", "Secret"},
}

// exported is the prefix that Prometheus gives to a series' own label where the scraped target has one of that name. The plain label is then that of the exporter.
const exported = "exported_"

// subjectOf finds what an alert is about, or why that is not known. job, service, instance, endpoint and container say who was scraped, and are not read.
func subjectOf(labels map[string]string) (subject, *leftOut) {
	own := ownLabels(labels)
	s := subject{namespace: own["namespace"]}
	if s.namespace == "" {
		if labels["namespace"] != "" {
			return s, leave(noTarget, "label namespace is that of the exporter, because there is an exported_pod, expected exported_namespace too; set honorLabels: true for the exporter")
		}
		return s, leave(noTarget, "label namespace is missing, expected the namespace of the workload")
	}
	if scraped := labels["namespace"]; scraped != s.namespace {
		s.exported, s.exporter = true, scraped
	}
	for _, name := range []string{s.namespace, s.exporter} {
		if faults := validation.IsDNS1123Label(name); name != "" && faults != nil {
			return s, leave(malformed, "label namespace is %q, expected the name of a namespace", outbox.Bound(name, 150))
		}
	}
	var found []string
	for _, l := range workloadLabels {
		if own[l.label] != "" {
			found, s.kind, s.name = append(found, l.label), l.kind, own[l.label]
		}
	}
	if len(found) > 1 {
		return s, leave(noTarget, "labels %s name several workloads, expected one of them; drop the others in the alerting rule", strings.Join(found, ", "))
	}
	if len(found) == 0 {
		for _, l := range otherLabels {
			if own[l.label] != "" {
				return s, leave(unsuited, "label %s: the alert is about the %s %q, expected a Deployment, StatefulSet or DaemonSet, or a pod of one", l.label, l.kind, outbox.Bound(own[l.label], 260))
			}
		}
		s.kind, s.name, s.uid, found = "Pod", own["pod"], types.UID(own["uid"]), []string{"pod"}
	}
	if s.name == "" {
		return s, leave(noTarget, "no label names a workload, expected pod, deployment, statefulset, daemonset or replicaset; job, service and instance name who was scraped")
	}
	if faults := validation.IsDNS1123Subdomain(s.name); faults != nil {
		return s, leave(malformed, "label %s is %q, expected the name of a %s", found[0], outbox.Bound(s.name, 260), s.kind)
	}
	return s, nil
}

// ownLabels are the labels by which a series names objects, without those of the target that was scraped.
func ownLabels(labels map[string]string) map[string]string {
	names := []string{"namespace", "pod", "uid"}
	for _, l := range slices.Concat(workloadLabels, otherLabels) {
		names = append(names, l.label)
	}
	foreign := labels[exported+"namespace"] != "" || labels[exported+"pod"] != ""
	own := map[string]string{}
	for _, name := range names {
		switch value := labels[exported+name]; {
		case value != "":
			own[name] = value
		case !foreign || name != "namespace" && name != "pod":
			own[name] = labels[name]
		}
	}
	return own
}
