package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one server, beside those of its requests.
type metrics struct {
	alerts    *prometheus.CounterVec
	truncated prometheus.Counter
	broken    prometheus.Counter
	shed      *prometheus.CounterVec
	delay     prometheus.Histogram
}

// Reasons of metrics.shed.
const (
	shedRequests = "requests"
	shedBytes    = "bytes"
	shedNotReady = "not_ready"
)

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		alerts:    prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_gateway_alerts_total", Help: "Alerts received, by what became of them (docs/gateway.md)."}, []string{"result"}),
		truncated: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_gateway_truncated_alerts_total", Help: "Alerts that Alertmanager left out of its messages (max_alerts)."}),
		broken:    prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_gateway_invalid_config_total", Help: "Messages for a namespace whose ConfigMap holdfast-gateway cannot be used."}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_gateway_shed_total",
			Help: "Messages answered 503 unread: too many at once (requests, bytes), or the requests of the cluster are not known yet (not_ready).",
		}, []string{"reason"}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_gateway_alert_delay_seconds", Help: "Time from the start of an alert until its request was created.", Buckets: []float64{1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600},
		}),
	}
	for _, c := range []prometheus.Collector{m.alerts, m.truncated, m.broken, m.shed, m.delay} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, result := range outcomes {
		m.alerts.WithLabelValues(result)
	}
	for _, reason := range []string{shedRequests, shedBytes, shedNotReady} {
		m.shed.WithLabelValues(reason)
	}
	return m, nil
}

func (m *metrics) count(answer *Answer) {
	for _, o := range answer.Alerts {
		m.alerts.WithLabelValues(o.Result).Inc()
	}
	m.truncated.Add(float64(answer.TruncatedAlerts))
}

func (m *metrics) created(began, now time.Time) { m.delay.Observe(max(0, now.Sub(began).Seconds())) }
