package demo

import (
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// workloads, in the order in which their alerts fire.
var workloads = []workload{
	{
		name: "cart", tag: "1.0", badTag: "crash", symptom: "CrashLoopBackOff",
		alert:        alertRule{"KubePodCrashLooping", "critical", "The new release of cart crashes"},
		approveAbove: ptr.To[int32](80), execution: time.Minute, ends: "Completed", outcome: v1alpha1.OutcomeRemediated,
		story: "repaired automatically, because confidence is at least 80 %",
	},
	{
		name: "reports", tag: "3.2", memory: "64Mi", needs: "1Gi", symptom: "OOMKilled",
		alert:        alertRule{"KubeContainerOOMKilled", "warning", "reports runs out of memory"},
		approveAbove: ptr.To[int32](80), execution: 30 * time.Second, ends: "TimedOut", outcome: v1alpha1.OutcomeTimedOut,
		story: "the repair fails and is rolled back",
	},
	{
		name: "checkout", tag: "1.0", badTag: "missing", symptom: "ImagePull",
		alert:     alertRule{"KubeImagePullBackOff", "critical", "The new release of checkout cannot be pulled"},
		execution: time.Minute, ends: "Completed", outcome: v1alpha1.OutcomeRemediated,
		story: "a person approves the repair",
	},
	{
		name: "search", tag: "2.1", memory: "128Mi", needs: "192Mi", symptom: "OOMKilled",
		alert:     alertRule{"KubeContainerOOMKilled", "warning", "search runs out of memory"},
		execution: time.Minute, ends: "Rejected", outcome: v1alpha1.OutcomeRejected,
		story: "a person rejects the repair",
	},
	{
		name: "payments", tag: "1.0",
		alert:        alertRule{"HighLatency", "info", "payments answered slowly"},
		approveAbove: ptr.To[int32](80), execution: time.Minute, ends: "Completed", outcome: v1alpha1.OutcomeNoAction,
		story: "the workload is healthy, so there is nothing to repair",
	},
}

// find returns the workload of that name.
func find(name string) workload {
	for _, w := range workloads {
		if w.name == name {
			return w
		}
	}
	panic("no workload " + name)
}
