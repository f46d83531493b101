package operator

import (
	"testing"

	. "github.com/onsi/gomega"
)

// That they are served so is tried by the end-to-end tests.
func TestHowMetricsAreServed(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		secure bool
		says   string
	}{
		"nowhere":                   {config: Config{MetricsBindAddress: "0"}},
		"plain on loopback":         {config: Config{MetricsBindAddress: "127.0.0.1:8080"}},
		"plain by name":             {config: Config{MetricsBindAddress: "localhost:8080"}},
		"secure on loopback":        {config: Config{MetricsBindAddress: "127.0.0.1:8080", MetricsSecure: true}, secure: true},
		"secure everywhere":         {config: Config{MetricsBindAddress: ":8443", MetricsSecure: true}, secure: true},
		"plain everywhere":          {config: Config{MetricsBindAddress: ":8080"}, says: "anyone could read the metrics"},
		"plain on all of IPv6":      {config: Config{MetricsBindAddress: "[::]:8080"}, says: "anyone could read the metrics"},
		"plain at the default":      {config: Config{}, says: "anyone could read the metrics"},
		"plain with a certificate":  {config: Config{MetricsBindAddress: "127.0.0.1:8080", MetricsCertFile: "a"}, says: "unset the files or --metrics-secure"},
		"a certificate without key": {config: Config{MetricsBindAddress: ":8443", MetricsSecure: true, MetricsCertFile: "a"}, says: "expected both or neither"},
		"no such certificate":       {config: Config{MetricsBindAddress: ":8443", MetricsSecure: true, MetricsCertFile: "a", MetricsKeyFile: "b"}, says: "read the TLS certificate a"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o, watch, err := metricsOptions(c.config)
			if c.says != "" {
				g.Expect(err).To(MatchError(ContainSubstring(c.says)))
				return
			}
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(o.BindAddress).To(Equal(c.config.MetricsBindAddress))
			g.Expect(o.SecureServing).To(Equal(c.secure))
			g.Expect(o.FilterProvider != nil).To(Equal(c.secure), "TLS and authentication come together")
			g.Expect(watch != nil).To(Equal(c.secure))
		})
	}
}
