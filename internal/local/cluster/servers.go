//go:build unix

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// readyTimeout bounds the wait for one server; a busy machine with two cores needs a tenth of it.
const readyTimeout = 2 * time.Minute

// server starts one of the cluster's programs.
func (c *Cluster) server(name string, args ...string) (*process, error) {
	return command{
		name: name, path: c.programs[name], args: args, dir: c.dir.in("run"),
		// HOME is here so that no server reads or writes the user's own files.
		env:         append(environment("PATH", "TMPDIR"), "HOME="+c.dir.in("run")),
		log:         c.dir.in("logs", name+".log"),
		deathSignal: syscall.SIGKILL,
	}.start()
}

// startEtcd: without TLS, on loopback. It does not fsync: what it wrote survives its own death, not the machine's.
func (c *Cluster) startEtcd(ctx context.Context) error {
	client, peer := "http://"+loopback(c.ports.etcd), "http://"+loopback(c.ports.etcdPeer)
	p, err := c.server("etcd",
		"--name=holdfast", "--data-dir="+c.dir.in("etcd"),
		"--listen-client-urls="+client, "--advertise-client-urls="+client,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=holdfast="+peer,
		"--unsafe-no-fsync", "--snapshot-count=10000", "--log-level=warn",
	)
	if err != nil {
		return err
	}
	c.etcd = p
	return p.waitReady(ctx, readyTimeout, func(ctx context.Context) error { return healthy(ctx, http.DefaultTransport, client+"/health") })
}

func (c *Cluster) startAPIServer(ctx context.Context) error {
	certs := c.dir.in("certs")
	args := []string{
		"--etcd-servers=http://" + loopback(c.ports.etcd),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", c.ports.apiServer),
		"--tls-cert-file=" + certs + "/server.crt", "--tls-private-key-file=" + certs + "/server.key",
		"--client-ca-file=" + certs + "/ca.crt",
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + certs + "/service-accounts.key",
		"--service-account-signing-key-file=" + certs + "/service-accounts.key",
		"--service-cluster-ip-range=" + serviceRange,
		// Endpoints refuse a loopback address, and nothing here looks the API server up by its Service.
		"--endpoint-reconciler-type=none",
		"--allow-privileged", "--profiling=false",
	}
	if c.profile == ControlPlane {
		// Without a controller manager no namespace has a default account, and the plugin would refuse each pod.
		args = append(args, "--disable-admission-plugins=ServiceAccount")
	}
	p, err := c.server("kube-apiserver", args...)
	if err != nil {
		return err
	}
	c.api = p
	return p.waitReady(ctx, readyTimeout, c.apiServerReady)
}

func (c *Cluster) apiServerReady(ctx context.Context) error {
	return c.client.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
}

// waitForNamespaces: the API server makes the system's namespaces after it calls itself ready.
func (c *Cluster) waitForNamespaces(ctx context.Context) error {
	return c.api.waitReady(ctx, readyTimeout, func(ctx context.Context) error {
		for _, name := range []string{metav1.NamespaceDefault, metav1.NamespaceSystem} {
			if _, err := c.client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{}); err != nil {
				return err
			}
		}
		return nil
	})
}

// healthy asks an address and succeeds with status 200.
func healthy(ctx context.Context, through http.RoundTripper, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	request.Close = true // leaves no idle connection behind
	answer, err := through.RoundTrip(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, answer.Status)
	}
	return nil
}

// healthyTLS is healthy for a server that shows a certificate of this cluster.
func (c *Cluster) healthyTLS(ctx context.Context, port int) error {
	transport, err := rest.TransportFor(c.RESTConfig())
	if err != nil {
		return err
	}
	return healthy(ctx, transport, "https://"+loopback(port)+"/healthz")
}

// closeIdle ends the connections that a client keeps, and with them their goroutines.
func closeIdle(client *kubernetes.Clientset) {
	if c, ok := client.RESTClient().(*rest.RESTClient); ok && c.Client != nil {
		utilnet.CloseIdleConnectionsFor(c.Client.Transport)
	}
}
