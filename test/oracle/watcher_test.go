package oracle_test

import (
	"net/url"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/test/oracle"
)

// through returns a proxy in front of the API server, and a configuration that leads through it.
func through(t *testing.T) (*toxiproxy.Proxy, *rest.Config) {
	t.Helper()
	g := NewWithT(t)
	u, err := url.Parse(env.Config.Host)
	g.Expect(err).NotTo(HaveOccurred())
	control := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(prometheus.NewRegistry()), zerolog.Nop())
	proxy := toxiproxy.NewProxy(control, t.Name(), "127.0.0.1:0", u.Host)
	g.Expect(proxy.Start()).To(Succeed())
	t.Cleanup(proxy.Stop)
	config := rest.CopyConfig(env.Config)
	u.Host = proxy.Listen
	config.Host = u.String()
	return proxy, config
}

func TestAWatchThatBreaksGoesOn(t *testing.T) {
	proxy, config := through(t)
	f := setup(t, config)
	f.relay()
	f.append(f.create("before"), 2, true)
	proxy.Stop()
	f.append(f.create("meanwhile"), 2, true)
	f.Expect(proxy.Start()).To(Succeed())
	f.Expect(f.clean().Total).To(Equal(oracle.Counts{Kind: "total", Resources: 2, Appended: 4, Rows: 4}))
}

// After its restart the API server answers 410 to the old revision, and nothing is left of what came and went: the oracle has to read etcd's history.
func TestNothingEscapesWhileTheAPIServerLosesItsHistory(t *testing.T) {
	proxy, config := through(t)
	f := setup(t, config)
	f.relay()
	f.append(f.create("before"), 1, true)
	f.clean()
	proxy.Stop()

	short := f.create("short")
	f.append(short, 3, true)
	f.delete(short)
	f.Eventually(f.gone(short)).Should(BeTrue())
	again := f.create("short")
	f.append(again, 2, true)
	f.Eventually(func() (int, error) {
		err := env.Client.Get(ctx, client.ObjectKeyFromObject(again), again)
		return len(again.Status.Outbox.Entries), err
	}).Should(BeZero())
	f.Expect(env.Cluster.RestartAPIServer(ctx)).To(Succeed())

	f.Expect(proxy.Start()).To(Succeed())
	f.Expect(f.clean().Total).To(Equal(oracle.Counts{Kind: "total", Resources: 3, Appended: 6, Rows: 6}))
}

func TestWhatWasThereBeforeIsHeldToItsChain(t *testing.T) {
	f := setup(t, env.Config)
	f.relay()
	obj := f.create("before")
	f.append(obj, 2, false)
	f.Eventually(func() (int, error) {
		err := env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)
		return len(obj.Status.Outbox.Entries), err
	}).Should(BeZero())
	late, err := oracle.Start(ctx, env.Config)
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(late.Stop)
	f.oracle = late
	f.append(obj, 1, true)
	f.Expect(f.clean().Total).To(Equal(oracle.Counts{Kind: "total", Resources: 1, Appended: 3, Rows: 3, Unseen: 2}))
}
