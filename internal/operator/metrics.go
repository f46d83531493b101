package operator

import (
	"context"
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// Whether each shard has a manager that works can be told from these alone, of all managers together: shards that are led, less than there are.
var (
	shardsOf = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_manager_shards", Help: "Number of shards, by the namespaces that the manager watches (empty: all).",
	}, []string{"namespaces"})
	leading = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_manager_leading", Help: "1 if this manager leads the shard, 0 if it waits for the lease, by namespaces and shard (from 0).",
	}, []string{"namespaces", "shard"})
)

func init() { metrics.Registry.MustRegister(shardsOf, leading) }

// announceLeading keeps the gauges while the manager runs.
func announceLeading(mgr ctrl.Manager, c Config) error {
	namespaces := strings.Join(c.namespaces(), ",")
	gauge := leading.WithLabelValues(namespaces, strconv.Itoa(c.Shard.Index))
	shardsOf.WithLabelValues(namespaces).Set(float64(max(1, c.Shard.Total)))
	return mgr.Add(everywhere(func(ctx context.Context) error {
		select {
		case <-mgr.Elected(): // at once where there is no election
			gauge.Set(1)
			<-ctx.Done()
			gauge.Set(0)
		case <-ctx.Done():
		}
		return nil
	}))
}

// metricsOptions say how /metrics is served; watch, if any, keeps its certificate current.
func metricsOptions(c Config) (metricsserver.Options, serving.Watch, error) {
	o := metricsserver.Options{BindAddress: c.MetricsBindAddress}
	switch {
	case c.MetricsBindAddress == "0":
		return o, nil, nil
	case !c.MetricsSecure && (c.MetricsCertFile != "" || c.MetricsKeyFile != ""):
		return o, nil, fmt.Errorf("--metrics-secure is false, but a certificate %q and a key %q are set; unset the files or --metrics-secure", c.MetricsCertFile, c.MetricsKeyFile)
	case !c.MetricsSecure && !serving.Loopback(c.MetricsBindAddress):
		return o, nil, fmt.Errorf("--metrics-bind-address is %q without --metrics-secure, so anyone could read the metrics; set --metrics-secure, or a loopback address such as 127.0.0.1:8080", c.MetricsBindAddress)
	case !c.MetricsSecure:
		return o, nil, nil
	}
	config, watch, err := serving.TLS(c.MetricsCertFile, c.MetricsKeyFile)
	if err != nil {
		return o, nil, fmt.Errorf("metrics: %w", err)
	}
	o.SecureServing, o.FilterProvider = true, serving.MetricsFilter
	o.TLSOpts = []func(*tls.Config){func(into *tls.Config) {
		into.MinVersion, into.Certificates, into.GetCertificate = config.MinVersion, config.Certificates, config.GetCertificate
		into.NextProtos = []string{"http/1.1"} // a scraper has no use for the streams of HTTP/2
		if into.GetCertificate == nil {        // or controller-runtime would look for files of its own
			into.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &config.Certificates[0], nil }
		}
	}}
	return o, watch, nil
}
