package manager

import (
	"crypto/tls"
	"fmt"

	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/serving"
)

// metricsOptions say how /metrics is served; watch, if any, keeps its certificate current.
func metricsOptions(c Config) (metricsserver.Options, serving.Watch, error) {
	o := metricsserver.Options{BindAddress: c.MetricsBindAddress}
	switch {
	case c.MetricsBindAddress == "0":
		return o, nil, nil
	case !c.MetricsSecure && (c.MetricsCertFile != "" || c.MetricsKeyFile != ""):
		return o, nil, fmt.Errorf("metrics have the certificate %q with the key %q and are not to be secure: leave out either the files or --metrics-secure=false", c.MetricsCertFile, c.MetricsKeyFile)
	case !c.MetricsSecure && !serving.Loopback(c.MetricsBindAddress):
		return o, nil, fmt.Errorf("metrics on %q would be open to whoever reaches it: serve them with --metrics-secure, or on a loopback address such as 127.0.0.1:8080", c.MetricsBindAddress)
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
