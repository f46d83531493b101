package outbox

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	appended = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_outbox_appended_total",
		Help: "Audit entries that were appended and saved, by the resource's kind.",
	}, []string{"kind"})
	full = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_outbox_full_total",
		Help: "Changes paused because the resource's outbox was full, by the resource's kind.",
	}, []string{"kind"})
	refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_outbox_oversized_total",
		Help: "Resources refused because they are too large to audit, by the resource's kind.",
	}, []string{"kind"})
)

func init() { metrics.Registry.MustRegister(appended, full, refused) }
