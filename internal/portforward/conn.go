package portforward

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"k8s.io/apimachinery/pkg/util/httpstream" //nolint:staticcheck // its successor, k8s.io/streaming, would raise the floors of go.mod
)

// conn is a connection to a Pod. A pipe gives it deadlines, which streams have not.
type conn struct {
	net.Conn

	mu     sync.Mutex
	failed error
}

// Read implements net.Conn. At the end of a connection that failed it says why.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	return n, c.why(err, io.EOF)
}

// Write implements net.Conn. On a connection that failed it says why.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	return n, c.why(err, io.ErrClosedPipe)
}

// why is the failure of the connection where err is the pipe's word for an end at the far side, else err.
func (c *conn) why(err, end error) error {
	if errors.Is(err, end) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed != nil {
			return c.failed
		}
	}
	return err
}

// maxFailure bounds what is read of a failure.
const maxFailure = 4 << 10

// carry copies between the far end of a connection and its streams until one of both ends.
func (t *tunnel) carry(c *conn, far net.Conn, data, failures httpstream.Stream) {
	said := make(chan []byte, 1)
	go func() {
		message, _ := io.ReadAll(io.LimitReader(failures, maxFailure)) // what there is of it
		said <- message
	}()
	ended := make(chan struct{}, 2)
	copying := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // whoever ends it knows why
		ended <- struct{}{}
	}
	go copying(far, data)
	go copying(data, far)
	<-ended
	_ = data.Reset() // else what nobody reads any more keeps the other streams waiting
	message := <-said
	t.upgraded.RemoveStreams(data, failures)
	if len(message) > 0 {
		c.mu.Lock()
		c.failed = &net.OpError{Op: Op, Net: "tcp", Err: fmt.Errorf("the kubelet says of the Pod %s: %s", t.target.Pod, message)}
		c.mu.Unlock()
		_ = t.upgraded.Close() // the next connection finds a Pod anew
	}
	_ = far.Close()
	<-ended
}
