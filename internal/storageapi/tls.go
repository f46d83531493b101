package storageapi

import (
	"context"
	"crypto/tls"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// ServerTLS makes the configuration of the service's listener from a certificate and its key, PEM files; start keeps them current until its context ends.
// With neither it is a self-signed certificate that is good for loopback only. See serving.TLS.
func ServerTLS(certFile, keyFile string) (config *tls.Config, start func(context.Context) error, err error) {
	return serving.TLS(certFile, keyFile)
}
