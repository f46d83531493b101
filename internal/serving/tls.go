package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	certutil "k8s.io/client-go/util/cert"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// Watch keeps a certificate current until its context ends. It is a manager.Runnable of every replica.
type Watch func(context.Context) error

// Start implements manager.Runnable.
func (w Watch) Start(ctx context.Context) error { return w(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable: one that waits for its lease serves, too.
func (w Watch) NeedLeaderElection() bool { return false }

// TLS makes the configuration of a server, TLS 1.2 or newer, from a certificate (with its chain) and its key, PEM files. While Watch runs, new
// connections get what the files hold now, at the latest some ten seconds after they changed; while the files are unreadable or don't fit, what they
// held last. With neither file it is a self-signed certificate for localhost, 127.0.0.1 and ::1, made anew each time. One file without the other, or
// files that can't be read, are an error.
func TLS(certFile, keyFile string) (*tls.Config, Watch, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (certFile == "") != (keyFile == "") {
		return nil, nil, errors.New("only one of TLS certificate file and key file is set, expected both or neither")
	}
	if certFile == "" {
		own, err := selfSigned()
		if err != nil {
			return nil, nil, fmt.Errorf("create a self-signed certificate: %w", err)
		}
		c.Certificates = []tls.Certificate{own}
		return c, func(ctx context.Context) error { <-ctx.Done(); return nil }, nil
	}
	watcher, err := certwatcher.New(certFile, keyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("read the TLS certificate %s and its key %s: %w", certFile, keyFile, err)
	}
	c.GetCertificate = watcher.GetCertificate
	return c, watcher.Start, nil
}

func selfSigned() (tls.Certificate, error) {
	certificate, key, err := certutil.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}, nil)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(certificate, key)
}
