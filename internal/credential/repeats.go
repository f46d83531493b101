package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
)

const (
	// leak is the number of bytes of a secret that must not be repeated.
	leak = 3
	// A long secret shares so few bytes with any text by chance: of one with more than long bytes, longLeak count.
	long, longLeak = 100, 8
)

// Repeats reports whether a text that comes from elsewhere repeats a part of a secret that is not in a public text too: three bytes, or eight of a secret of more than 100
// bytes.
func Repeats(text, secret string, public ...string) bool {
	n := leak
	if len(secret) > long {
		n = longLeak
	}
	for i := 0; i+n <= len(secret); i++ {
		part := secret[i : i+n]
		if strings.Contains(text, part) && !slices.ContainsFunc(public, func(p string) bool { return strings.Contains(p, part) }) {
			return true
		}
	}
	return false
}

// LeftOut is said in the place of a text that repeats a part of a secret.
const LeftOut = "message omitted because it contains part of the token"

// Quote is a text that comes from elsewhere, or LeftOut.
func Quote(text, secret string, public ...string) string {
	if Repeats(text, secret, public...) {
		return LeftOut
	}
	return text
}

// ErrNotHTTP is a failure that is known by words of the other side only.
var ErrNotHTTP = errors.New("no valid HTTP response; check the address, and HTTPS_PROXY and HTTP_PROXY if there is a proxy")

// Cause is why a request of net/http got no answer: what its error says of the network, of TLS or of the context. It leaves out the URL, and what an answer or a
// proxy's variable had in it: such an error is ErrNotHTTP.
func Cause(err error) error {
	var (
		network   *net.OpError
		dns       *net.DNSError
		handshake *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		timeout   net.Error
	)
	switch {
	case errors.As(err, &network):
		return network
	case errors.As(err, &dns):
		return dns
	case errors.As(err, &handshake):
		return handshake
	case errors.As(err, &record):
		return record
	case errors.Is(err, http.ErrSchemeMismatch):
		return http.ErrSchemeMismatch
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded
	case errors.As(err, &timeout) && timeout.Timeout():
		return os.ErrDeadlineExceeded
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return io.ErrUnexpectedEOF
	}
	return ErrNotHTTP
}
