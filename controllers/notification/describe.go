package notification

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// errorBytes bounds the error of one attempt.
const errorBytes = 200

// describe says in our own words why there was no answer. The client's errors quote the URL, its host, or what the receiver sent, which
// may quote the URL again: none of their text is passed on.
func describe(err error, timeout time.Duration) string {
	var (
		refused refusedError
		dns     *net.DNSError
		errno   syscall.Errno
		network net.Error
	)
	switch {
	case errors.As(err, &refused):
		return refused.Error()
	case errors.Is(err, context.Canceled):
		return "broken off"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return fmt.Sprintf("no answer within %s", timeout)
	case errors.As(err, &dns) && dns.IsNotFound:
		return "the host name does not resolve"
	case errors.As(err, &dns):
		return "the host name cannot be looked up"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, http.ErrSchemeMismatch):
		return "the receiver speaks HTTP, but the URL has https"
	case isTLS(err):
		return describeTLS(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before a response"
	}
	return "the response is not HTTP"
}

func isTLS(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		alert        tls.AlertError
	)
	return errors.As(err, &verification) || errors.As(err, &record) || errors.As(err, &alert)
}

func describeTLS(err error) string {
	var (
		host    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &host):
		return "the receiver's certificate is for another host"
	case errors.As(err, &unknown):
		return "the receiver's certificate is signed by an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the receiver's certificate has expired or is not valid yet"
	}
	return "the TLS handshake failed"
}

// oneLine makes a text that fits into a line and limit bytes: control characters and bytes that aren't UTF-8 become spaces, and what is cut off ends in "…".
func oneLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	if len(text) <= limit {
		return text
	}
	const mark = "…"
	keep := limit - len(mark)
	for keep > 0 && !utf8.RuneStart(text[keep]) {
		keep--
	}
	return text[:keep] + mark
}
