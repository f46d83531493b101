package portforward

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // its successor, k8s.io/streaming, would raise the floors of go.mod
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// Target is a port of a Pod.
type Target struct {
	Namespace, Pod string
	Port           int32
}

// Dialer opens connections to a Pod. It is safe for concurrent use.
type Dialer struct {
	config *rest.Config
	client *kubernetes.Clientset
	find   func(context.Context) (Target, error)

	mu      sync.Mutex
	current *tunnel
	closed  bool
}

// New makes a Dialer. find names the Pod, whenever there is no upgraded request. New makes no call.
func New(config *rest.Config, client *kubernetes.Clientset, find func(context.Context) (Target, error)) *Dialer {
	return &Dialer{config: config, client: client, find: find}
}

// Op is the Op of the *net.OpError that a connection fails with.
const Op = "port-forward"

// Connect finds a Pod and makes the upgraded request, so that its error comes before the first connection.
func (d *Dialer) Connect(ctx context.Context) error {
	_, err := d.tunnel(ctx)
	return err
}

// DialContext opens a connection to the Pod, whatever the address: it is the DialContext of an http.Transport.
func (d *Dialer) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	var failed error
	for range 2 { // an upgraded request may be over before it is known
		t, err := d.tunnel(ctx)
		if err != nil {
			return nil, &net.OpError{Op: Op, Net: "tcp", Err: err}
		}
		c, err := t.open()
		if err == nil {
			return c, nil
		}
		failed = err
		d.drop(t)
	}
	return nil, &net.OpError{Op: Op, Net: "tcp", Err: failed}
}

// drop makes the next connection find a Pod anew.
func (d *Dialer) drop(t *tunnel) {
	_ = t.upgraded.Close() // of no use any more
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current == t {
		d.current = nil
	}
}

// Close ends the upgraded request, and all connections.
func (d *Dialer) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.current != nil {
		_ = d.current.upgraded.Close() // whatever it says, it is over
		d.current = nil
	}
}

// tunnel is the one that works, or a new one.
func (d *Dialer) tunnel(ctx context.Context) (*tunnel, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, net.ErrClosed
	}
	if d.current != nil && !d.current.over() {
		return d.current, nil
	}
	target, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	upgraded, err := d.upgrade(ctx, target)
	if err != nil {
		return nil, fmt.Errorf("forward port %d of the Pod %s in %s: %w", target.Port, target.Pod, target.Namespace, err)
	}
	d.current = &tunnel{target: target, upgraded: upgraded}
	return d.current, nil
}

// upgrade makes the request. client-go's dialers know no context, so the answer to one that nobody waits for any more is closed.
func (d *Dialer) upgrade(ctx context.Context, target Target) (httpstream.Connection, error) {
	dialer, err := d.dialer(target)
	if err != nil {
		return nil, err
	}
	type answer struct {
		upgraded httpstream.Connection
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		upgraded, protocol, err := dialer.Dial(portforward.PortForwardProtocolV1Name)
		if err == nil && protocol != portforward.PortForwardProtocolV1Name {
			_ = upgraded.Close() // of no use
			err = fmt.Errorf("the API server chose the protocol %q, expected %q", protocol, portforward.PortForwardProtocolV1Name)
		}
		answers <- answer{upgraded, err}
	}()
	select {
	case a := <-answers:
		return a.upgraded, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answers; a.err == nil {
				_ = a.upgraded.Close() // too late
			}
		}()
		return nil, ctx.Err()
	}
}

// dialer tries a WebSocket first, and SPDY with servers and proxies that know none.
func (d *Dialer) dialer(target Target) (httpstream.Dialer, error) {
	address := d.client.CoreV1().RESTClient().Post().Resource("pods").Namespace(target.Namespace).Name(target.Pod).SubResource("portforward").URL()
	transport, upgrader, err := spdy.RoundTripperFor(d.config)
	if err != nil {
		return nil, err
	}
	second := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, address)
	first, err := portforward.NewSPDYOverWebsocketDialer(address, d.config)
	if err != nil {
		return nil, err
	}
	return portforward.NewFallbackDialer(first, second, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	}), nil
}

// tunnel is an upgraded request.
type tunnel struct {
	target   Target
	upgraded httpstream.Connection

	mu   sync.Mutex
	last int
}

func (t *tunnel) over() bool {
	select {
	case <-t.upgraded.CloseChan():
		return true
	default:
		return false
	}
}

// open opens the streams of one connection.
func (t *tunnel) open() (net.Conn, error) {
	t.mu.Lock()
	t.last++
	id := strconv.Itoa(t.last)
	t.mu.Unlock()
	stream := func(kind string) (httpstream.Stream, error) {
		h := http.Header{}
		h.Set(corev1.StreamType, kind)
		h.Set(corev1.PortHeader, strconv.Itoa(int(t.target.Port)))
		h.Set(corev1.PortForwardRequestIDHeader, id)
		return t.upgraded.CreateStream(h)
	}
	failures, err := stream(corev1.StreamTypeError)
	if err != nil {
		return nil, fmt.Errorf("connect to the Pod %s: %w", t.target.Pod, err)
	}
	_ = failures.Close() // nothing is written there
	data, err := stream(corev1.StreamTypeData)
	if err != nil {
		return nil, fmt.Errorf("connect to the Pod %s: %w", t.target.Pod, err)
	}
	near, far := net.Pipe()
	c := &conn{Conn: near}
	go t.carry(c, far, data, failures)
	return c, nil
}
