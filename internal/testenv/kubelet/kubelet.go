// Package kubelet is the part of a kubelet that port-forwarding reaches. The API server finds it by its Node, as any other, and speaks SPDY with it. Only tests import it.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/httpstream"      //nolint:staticcheck // its successor, k8s.io/streaming, would raise the floors of go.mod
	"k8s.io/apimachinery/pkg/util/httpstream/spdy" //nolint:staticcheck // its successor, k8s.io/streaming, would raise the floors of go.mod
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kubelet is a node whose Pods are where the test says.
type Kubelet struct {
	Node   string
	server *httptest.Server
	stop   func()

	mu    sync.Mutex
	ports map[string]string
	ended []httpstream.Connection
}

// Start registers a node.
func Start(ctx context.Context, c client.Client, name string) (*Kubelet, error) {
	k := &Kubelet{Node: name, ports: map[string]string{}}
	k.server = httptest.NewTLSServer(http.HandlerFunc(k.serve))
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	k.stop = func() {
		cancel()
		<-done
		k.Drop()
		k.server.Close()
	}
	lease, err := k.register(ctx, c)
	if err != nil {
		close(done)
		k.stop()
		return nil, fmt.Errorf("register the node %s: %w", name, err)
	}
	go func() {
		defer close(done)
		renew(ctx, c, lease)
	}()
	return k, nil
}

// Stop ends it. The Node stays.
func (k *Kubelet) Stop() { k.stop() }

// Forward says where a port of a Pod is.
func (k *Kubelet) Forward(namespace, pod string, port int, address string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.ports[fmt.Sprintf("%s/%s:%d", namespace, pod, port)] = address
}

// Drop ends all connections, as a kubelet does that restarts.
func (k *Kubelet) Drop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.ended {
		_ = c.Close()
	}
	k.ended = nil
}

func (k *Kubelet) register(ctx context.Context, c client.Client) (*coordinationv1.Lease, error) {
	address, ok := k.server.Listener.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.New("no TCP address")
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: k.Node, Labels: map[string]string{corev1.LabelHostname: k.Node}},
		Spec: corev1.NodeSpec{Unschedulable: true}} // nobody would run a Pod there
	if err := c.Create(ctx, node); err != nil {
		return nil, err
	}
	now, before := metav1.Now(), node.DeepCopy()
	node.Status = corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: address.IP.String()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(address.Port)}},
		Conditions:      []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now}},
	}
	if err := c.Status().Patch(ctx, node, client.MergeFrom(before)); err != nil {
		return nil, err
	}
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: k.Node},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &k.Node, LeaseDurationSeconds: ptr.To[int32](40), RenewTime: &metav1.MicroTime{Time: now.Time}}}
	return lease, c.Create(ctx, lease)
}

// renew keeps the node ready.
func renew(ctx context.Context, c client.Client, lease *coordinationv1.Lease) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			lease.Spec.RenewTime = &metav1.MicroTime{Time: now}
			_ = c.Update(ctx, lease) // the next one may work
		}
	}
}

// serve answers /portForward/NAMESPACE/POD.
func (k *Kubelet) serve(w http.ResponseWriter, r *http.Request) {
	pod, ok := strings.CutPrefix(r.URL.Path, "/portForward/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if _, err := httpstream.Handshake(r, w, []string{"portforward.k8s.io"}); err != nil {
		return // it has answered
	}
	streams := make(chan httpstream.Stream, 16)
	upgraded := spdy.NewResponseUpgrader().UpgradeResponse(w, r, func(s httpstream.Stream, _ <-chan struct{}) error {
		streams <- s
		return nil
	})
	if upgraded == nil {
		return
	}
	k.mu.Lock()
	k.ended = append(k.ended, upgraded)
	k.mu.Unlock()
	defer upgraded.Close()
	failures := map[string]httpstream.Stream{}
	for {
		select {
		case <-upgraded.CloseChan():
			return
		case s := <-streams: // the stream of failures comes first
			id := s.Headers().Get(corev1.PortForwardRequestIDHeader)
			if s.Headers().Get(corev1.StreamType) == corev1.StreamTypeError {
				failures[id] = s
				continue
			}
			go k.forward(r.Context(), pod+":"+s.Headers().Get(corev1.PortHeader), s, failures[id])
		}
	}
}

func (k *Kubelet) forward(ctx context.Context, port string, data, failures httpstream.Stream) {
	defer failures.Close()
	defer data.Close()
	k.mu.Lock()
	address, ok := k.ports[port]
	k.mu.Unlock()
	if !ok {
		fmt.Fprintf(failures, "nothing listens on %s", port)
		return
	}
	to, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		fmt.Fprintf(failures, "connect to %s: %v", port, err)
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, data)
		_ = to.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(data, to)
}
