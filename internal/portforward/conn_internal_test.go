package portforward

import (
	"errors"
	"net"
	"testing"

	. "github.com/onsi/gomega"
)

// The kubelet may have refused the connection before its first byte is written, as the one that begins TLS.
func TestReadsAndWritesSayWhyAConnectionFailed(t *testing.T) {
	g := NewWithT(t)
	near, far := net.Pipe()
	g.Expect(far.Close()).To(Succeed())
	c := &conn{Conn: near, failed: errors.New("the kubelet says: connection refused")}
	_, err := c.Write([]byte("hello"))
	g.Expect(err).To(MatchError(c.failed))
	_, err = c.Read(make([]byte, 1))
	g.Expect(err).To(MatchError(c.failed))
}
