package narrator

import (
	"cmp"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-dev/holdfast/rar"
)

// metrics of calls have the names of OpenTelemetry's semantic conventions for generative AI, as Prometheus writes them.
type metrics struct {
	duration   *prometheus.HistogramVec
	tokens     *prometheus.HistogramVec
	narratives *prometheus.CounterVec
	shown      prometheus.Counter
	dropped    *prometheus.CounterVec
}

func newMetrics(model string) *metrics {
	call := prometheus.Labels{"gen_ai_operation_name": "chat", "gen_ai_request_model": model}
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gen_ai_client_operation_duration_seconds", Help: "Time of a call of the language model, by its error (empty: none).", ConstLabels: call, Buckets: []float64{0.5, 1, 2, 5, 10, 20, 30, 45, 60, 90},
		}, []string{"error_type"}),
		tokens: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "gen_ai_client_token_usage", Help: "Tokens of a call of the language model, input and output.", ConstLabels: call, Buckets: prometheus.ExponentialBuckets(64, 4, 7),
		}, []string{"gen_ai_token_type"}),
		narratives: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_reports_narratives_total", Help: "Narratives that a language model was asked for: generated, or why they are those of the rules.",
		}, []string{"result"}),
		shown:   prometheus.NewCounter(prometheus.CounterOpts{Name: "holdfast_reports_narrative_claims_total", Help: "Claims of the language model that the facts support."}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_reports_narrative_claims_dropped_total", Help: "Claims of the language model that were dropped, by the rule that they break."}, []string{"reason"}),
	}
	for _, result := range []string{rar.NarrativeGenerated, reasonUnavailable, reasonOverQuota, reasonTimeout, reasonBusy, reasonPaused, reasonDailyLimit, reasonTooLarge, reasonRefused, reasonUnusable, reasonUnsupported} {
		m.narratives.WithLabelValues(result)
	}
	for _, reason := range reasons {
		m.dropped.WithLabelValues(reason)
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer, n *Narrator) error {
	open := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_reports_narrator_paused", Help: "1 while the language model is not asked, after several failures."}, func() float64 {
		if n.breaker.open() {
			return 1
		}
		return 0
	})
	left := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_reports_narrator_daily_tokens_left", Help: "Tokens that are left for this day, in UTC."}, func() float64 { return float64(n.budget.left()) })
	size := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_reports_narrative_cache_bytes", Help: "Bytes of the narratives that are kept."}, func() float64 { return float64(n.cache.size()) })
	for _, c := range []prometheus.Collector{m.duration, m.tokens, m.narratives, m.shown, m.dropped, open, left, size} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// call counts one call of the model.
func (m *metrics) call(took time.Duration, r *reply, err error) {
	kind := ""
	if err != nil {
		kind = reasonUnusable
		var f *failure
		if errors.As(err, &f) {
			kind = f.reason
		}
	}
	m.duration.WithLabelValues(kind).Observe(took.Seconds())
	if r != nil {
		m.tokens.WithLabelValues("input").Observe(float64(r.input))
		m.tokens.WithLabelValues("output").Observe(float64(r.output))
	}
}

// count counts one narrative.
func (m *metrics) count(n *rar.Narrative) {
	m.narratives.WithLabelValues(cmp.Or(n.Reason, n.Status)).Inc()
}

// claims counts what became of those of the answer that counts.
func (m *metrics) claims(j *judged) {
	m.shown.Add(float64(len(j.claims)))
	for _, d := range j.dropped {
		m.dropped.WithLabelValues(d.reason).Inc()
	}
}
