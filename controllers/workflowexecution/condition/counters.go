package condition

import (
	"maps"
	"strings"
)

// counters are the fields of the status that the API server omits while they are zero.
var counters = map[string][]string{
	"Deployment":  {"replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas", "observedGeneration"},
	"ReplicaSet":  {"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "terminatingReplicas", "observedGeneration"},
	"StatefulSet": {"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration"},
	"DaemonSet": {"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "updatedNumberScheduled",
		"numberAvailable", "numberUnavailable", "observedGeneration"},
}

// withCounters is the target with its missing counters at zero. It shares everything else with the original.
func withCounters(target map[string]any) map[string]any {
	kind, _ := target["kind"].(string)
	names, known := counters[kind]
	if apiVersion, _ := target["apiVersion"].(string); !known || !strings.HasPrefix(apiVersion, "apps/") {
		return target
	}
	old, _ := target["status"].(map[string]any)
	status := make(map[string]any, len(old)+len(names))
	for _, name := range names {
		status[name] = int64(0)
	}
	maps.Copy(status, old)
	filled := maps.Clone(target)
	filled["status"] = status
	return filled
}
