package serving_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// reload is how long a changed certificate may take: the watcher's own interval is 10 s.
const reload = 30 * time.Second

// certificate makes a pair that is its own authority, with the serial number.
func certificate(t *testing.T, serial int64) (certPEM, keyPEM []byte) {
	t.Helper()
	g := NewWithT(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	g.Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "storage"}, DNSNames: []string{"storage.example"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	g.Expect(err).NotTo(HaveOccurred())
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	g.Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}

// projected writes the pair as the kubelet does with a Secret: files are links into a folder that is replaced as a whole.
func projected(t *testing.T, dir, version string, certPEM, keyPEM []byte) (certFile, keyFile string) {
	t.Helper()
	g := NewWithT(t)
	g.Expect(os.Mkdir(filepath.Join(dir, version), 0o755)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, version, "tls.crt"), certPEM, 0o600)).To(Succeed())
	g.Expect(os.WriteFile(filepath.Join(dir, version, "tls.key"), keyPEM, 0o600)).To(Succeed())
	g.Expect(os.Symlink(version, filepath.Join(dir, "..data_tmp"))).To(Succeed())
	g.Expect(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data"))).To(Succeed())
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for _, file := range []string{certFile, keyFile} {
		if _, err := os.Lstat(file); err != nil {
			g.Expect(os.Symlink(filepath.Join("..data", filepath.Base(file)), file)).To(Succeed())
		}
	}
	return certFile, keyFile
}

// serve answers over TLS until the test ends, while the watch runs; it returns the address.
func serve(t *testing.T, config *tls.Config, watch serving.Watch) string {
	t.Helper()
	g := NewWithT(t)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", config)
	g.Expect(err).NotTo(HaveOccurred())
	server := &http.Server{ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- watch.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		NewWithT(t).Expect(<-ended).To(Succeed())
	})
	return listener.Addr().String()
}

// serial is that of the certificate that a new connection gets.
func serial(t *testing.T, address string) int64 {
	t.Helper()
	g := NewWithT(t)
	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // which one it is, is asked
	c, err := dialer.DialContext(t.Context(), "tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificatesAreReloaded(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	certPEM, keyPEM := certificate(t, 1)
	certFile, keyFile := projected(t, dir, "v1", certPEM, keyPEM)
	config, watch, err := serving.TLS(certFile, keyFile)
	g.Expect(err).NotTo(HaveOccurred())
	address := serve(t, config, watch)
	g.Expect(serial(t, address)).To(BeEquivalentTo(1))

	_, strange := certificate(t, 2)
	projected(t, dir, "v2", certPEM, strange)
	g.Consistently(func() int64 { return serial(t, address) }, time.Second, poll).Should(BeEquivalentTo(1), "a key that does not fit changes nothing")

	certPEM, keyPEM = certificate(t, 3)
	projected(t, dir, "v3", certPEM, keyPEM)
	g.Eventually(func() int64 { return serial(t, address) }, reload, poll).Should(BeEquivalentTo(3))

	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certPEM)
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: "storage.example", MinVersion: tls.VersionTLS12}}
	c, err := dialer.DialContext(t.Context(), "tcp", address)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(c.Close()).To(Succeed())
}

func TestSelfSigned(t *testing.T) {
	g := NewWithT(t)
	config, watch, err := serving.TLS("", "")
	g.Expect(err).NotTo(HaveOccurred())
	address := serve(t, config, watch)
	certificate, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
	g.Expect(err).NotTo(HaveOccurred())
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		g.Expect(certificate.VerifyHostname(name)).To(Succeed())
	}
	g.Expect(certificate.VerifyHostname("storage.example")).NotTo(Succeed())

	dialer := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}
	_, err = dialer.DialContext(t.Context(), "tcp", address)
	g.Expect(err).To(MatchError(ContainSubstring("protocol version")))
}

func TestCertificatesThatCannotBeServed(t *testing.T) {
	dir := t.TempDir()
	certPEM, keyPEM := certificate(t, 1)
	_, strange := certificate(t, 2)
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		NewWithT(t).Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
		return path
	}
	good, key, other, garbage := file("crt", certPEM), file("key", keyPEM), file("other", strange), file("garbage", []byte("garbage"))
	for name, c := range map[string]struct{ cert, key, says string }{
		"no key":         {good, "", "expected both or neither"},
		"no certificate": {"", key, "expected both or neither"},
		"no such file":   {dir + "/none", key, "none: no such file"},
		"garbage":        {garbage, key, "garbage"},
		"another's key":  {good, other, "private key does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := serving.TLS(c.cert, c.key)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(c.says)))
		})
	}
}
