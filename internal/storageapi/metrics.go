package storageapi

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of one server.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	rows     *prometheus.CounterVec
	shed     *prometheus.CounterVec
	bytes    prometheus.Histogram
	commits  prometheus.Histogram
}

var buckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_storage_requests_total", Help: "Requests, by path, method and status."}, []string{"path", "method", "code"}),
		seconds:  prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "holdfast_storage_request_duration_seconds", Help: "Time from request header to response.", Buckets: buckets}, []string{"path"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "holdfast_storage_requests_in_flight", Help: "POST requests in flight."}),
		rows:     prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_storage_records_total", Help: "Acknowledged records, by table and status (stored, present, or the result of a relay's entry)."}, []string{"table", "status"}),
		shed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_storage_shed_total",
			Help: "Requests refused at a limit: of the caller (rate), of concurrent requests (requests), of body bytes (bytes) or of transactions (writes).",
		}, []string{"reason"}),
		bytes:   prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_storage_body_bytes", Help: "Size of request bodies.", Buckets: prometheus.ExponentialBuckets(256, 4, 8)}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "holdfast_storage_commit_seconds", Help: "Duration of transactions, successful or not.", Buckets: buckets}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.inFlight, m.rows, m.shed, m.bytes, m.commits} {
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

// count notes a request. path is one that the service knows, or "other": what callers invent makes no series.
func (m *metrics) count(path, method string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(path, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(path).Observe(took.Seconds())
}
