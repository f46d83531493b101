package main

import (
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

var phases = []string{"Pending", "Analyzing", "AwaitingApproval", "Executing", "Notifying"}

// change is the n-th of a ticket. Its record is an orchestration record of 500 to 700 bytes: the row has more columns than most.
func change(uid string, n int, final bool) *entry.Change {
	phase := phases[n%len(phases)]
	return &entry.Change{Kind: entry.KindOrchestration, Event: phase, Phase: phase, Record: recordOf(uid, n), Final: final}
}

func recordOf(uid string, n int) models.Orchestration {
	begin := time.Date(2026, 11, 23, 4, 5, 6, 789012000, time.UTC)
	at := func(seconds int) *outboxapi.Time {
		return outboxapi.NewTimePointer(begin.Add(time.Duration(seconds) * time.Second))
	}
	r := models.Orchestration{
		RemediationID:        uid,
		SignalFingerprint:    "3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c",
		SignalReceivedAt:     *at(0),
		RemediationCreatedAt: *at(1),
		AIAnalysisStartedAt:  at(2),
		ServicesInvoked:      []string{"ai_analysis"},
		SignalContext:        &models.SignalContext{Name: "KubePodCrashLooping", Severity: "critical", Source: "alertmanager", Labels: map[string]string{"team": "checkout"}},
		Target:               &models.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: fmt.Sprintf("cart-%d", n)},
	}
	if n%2 == 1 {
		r.ServiceTransitions = []models.ServiceTransition{{From: "Pending", To: "Analyzing", Duration: "1.2s"}}
		r.TotalDurationSeconds, r.BottleneckPhase = ptr.To(int64(n)), "ai_analysis"
	}
	return r
}
