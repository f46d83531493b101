package reportsapi

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// metrics of one server, beside those of its requests.
type metrics struct {
	inFlight prometheus.Gauge
	reports  *prometheus.CounterVec
	shed     *prometheus.CounterVec
	reads    prometheus.Histogram
	queries  prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_reports_requests_in_flight", Help: "Requests under way."}),
		reports:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_reports_built_total", Help: "Reports that were built, by the state of their record."}, []string{"state"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_reports_shed_total",
			Help: "Requests refused because there was too much: of one caller (rate), at once (requests, streams, jobs), of reads (reads, trends), of large reports (memory), or of one tenant at once (share).",
		}, []string{"reason"}),
		reads:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_reports_read_seconds", Help: "Time of a snapshot, whatever became of it.", Buckets: httpapi.Buckets}),
		queries: prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_reports_queries_total", Help: "Queries to the database."}),
	}
	for _, c := range []prometheus.Collector{m.inFlight, m.reports, m.shed, m.reads, m.queries} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	for _, reason := range []string{shedRate, shedRequests, shedStreams, shedReads, shedTrends, shedMemory, shedShare, shedJobs} {
		m.shed.WithLabelValues(reason)
	}
	return m, nil
}

// Reasons of shedding.
const (
	shedRate     = "rate"
	shedRequests = "requests"
	shedStreams  = "streams"
	shedReads    = "reads"
	shedTrends   = "trends"
	shedMemory   = "memory"
	shedShare    = "share"
	shedJobs     = "jobs"
)
