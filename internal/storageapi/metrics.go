package storageapi

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// metrics of one server, beside those of its requests.
type metrics struct {
	inFlight prometheus.Gauge
	rows     *prometheus.CounterVec
	shed     *prometheus.CounterVec
	bytes    prometheus.Histogram
	commits  prometheus.Histogram
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_storage_requests_in_flight", Help: "POST requests in flight."}),
		rows:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_storage_records_total", Help: "Acknowledged records, by table and status (stored, present, or the result of a relay's entry)."}, []string{"table", "status"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_storage_shed_total",
			Help: "Requests refused at a limit: of the caller (rate), of concurrent requests (requests), of body bytes (bytes) or of transactions (writes).",
		}, []string{"reason"}),
		bytes:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_storage_body_bytes", Help: "Size of request bodies.", Buckets: prometheus.ExponentialBuckets(256, 4, 8)}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_storage_commit_seconds", Help: "Duration of transactions, successful or not.", Buckets: httpapi.Buckets}),
	}
	for _, c := range []prometheus.Collector{m.inFlight, m.rows, m.shed, m.bytes, m.commits} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, reason := range []string{shedRate, shedRequests, shedBytes, shedWrites} {
		m.shed.WithLabelValues(reason)
	}
	return m, nil
}

// Reasons of shedding.
const (
	shedRate     = "rate"
	shedRequests = "requests"
	shedBytes    = "bytes"
	shedWrites   = "writes"
)
