package credential_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
)

func TestTrim(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"a b", " a b\n", "\t\r\n a b \u0085\n\n"} {
		g.Expect(credential.Trim(text)).To(Equal("a b"))
	}
	for _, text := range []string{"a\nb", "a\x00b", "a\tb", "a\x7fb", "a\u0085b", "\x00"} {
		_, err := credential.Trim(text)
		g.Expect(err).To(MatchError(ContainSubstring("expected one line")), "%q", text)
	}
}

func TestURLsThatCanBeReadInOneWayOnly(t *testing.T) {
	g := NewWithT(t)
	for text, host := range map[string]string{
		"https://hook.example.com/services/T0/B0/x?a=b": "hook.example.com", "HTTP://localhost:8080": "localhost", "https://me:a%40b%2F@host/x": "host", "https://me:a:b;c@host": "host",
		"http://[::1]:80/": "::1", "http://[fe80::1%25eth0]/x": "fe80::1%eth0", "http://10.0.0.1": "10.0.0.1", "http://bücher.example/": "bücher.example", "http://my_host-1.svc./": "my_host-1.svc.", "http://host/%40": "host",
	} {
		u, err := credential.URL(" " + text + "\n")
		g.Expect(err).NotTo(HaveOccurred(), text)
		g.Expect(u.Hostname()).To(Equal(host))
	}
	for text, says := range map[string]string{
		"": "expected an http or https URL", "host:80": "expected an http", "ftp://host": "expected an http", "https://": "with a host", "https:///x": "with a host", "https://:80": "with a host",
		"https://me:a@b@host": "@ as %40", "https://me:a/b@host": "/ as %2F", "https://me:a?b@host": "? as %3F", "https://host/@team": "@ as %40", "https://host?to=a@b": "@ as %40",
		"https://host/x#y": "# as %23", "https://me:a#b@host": "an extra @", "https://me:a b@host": "a blank as %20", "https://host/a b": "a blank as %20", "https://host/%zz": "% as %25", "https://host/?a=%": "% as %25",
		"https://host/%00": "NUL", "https://ho\nst": "one line", "https://host:port": "with a host", "https://ho*st": "with a host", `https://me:a\b@host`: "with a host", "https://h1,h2/": "with a host", "https://-host": "with a host",
	} {
		_, err := credential.URL(text)
		g.Expect(err).To(MatchError(ContainSubstring(says)), text)
	}
	for _, text := range []string{"https://me@host", "https://me:pw@host", "https://host?a=b", "https://host?"} {
		_, err := credential.ServiceURL(text)
		g.Expect(err).To(MatchError(ContainSubstring("give a token instead")), text)
	}
	_, err := credential.ServiceURL("https://host/behind/a/proxy/")
	g.Expect(err).NotTo(HaveOccurred())
}

// Whatever is escaped comes back, and whatever is not is refused or has no other meaning.
func TestAnyPasswordCanBeEscaped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		password := secrets.Password().Draw(t, "password")
		escaped := (&url.URL{Scheme: "https", User: url.UserPassword("me", password), Host: "host", Path: "/x"}).String()
		u, err := credential.URL(escaped)
		g.Expect(err).NotTo(HaveOccurred())
		got, _ := u.User.Password()
		g.Expect(got).To(Equal(password))
		raw, err := credential.URL("https://me:" + password + "@host/x")
		if err != nil {
			return
		}
		g.Expect(raw.Hostname()).To(Equal("host"))
		g.Expect(raw.Path).To(Equal("/x"))
	})
}

func TestTokens(t *testing.T) {
	g := NewWithT(t)
	g.Expect(credential.Token(" abc.DEF-_~+/=\r\n")).To(Equal("abc.DEF-_~+/="))
	for text, says := range map[string]string{
		"": "it is empty", " \n": "it is empty", "a\nb": "one line", "a b": "without a word such as Bearer", "Bearer abc": "without a word such as Bearer", "é": "non-ASCII", strings.Repeat("x", 20<<10): "more than",
	} {
		_, err := credential.Token(text)
		g.Expect(err).To(MatchError(And(ContainSubstring(says), ContainSubstring("expected"))))
	}
}

func TestFiles(t *testing.T) {
	g := NewWithT(t)
	folder := t.TempDir()
	path := filepath.Join(folder, "token")
	g.Expect(os.WriteFile(path, []byte("abc\n"), 0o600)).To(Succeed())
	g.Expect(credential.TokenFile(path)).To(Equal("abc"))
	g.Expect(credential.ReadableFile(path)).To(Succeed())
	g.Expect(os.WriteFile(path, []byte("XQZ\nXQZ"), 0o600)).To(Succeed())
	_, err := credential.TokenFile(path)
	g.Expect(err).To(MatchError(And(ContainSubstring(path), ContainSubstring("one line"), Not(ContainSubstring("XQZ")))))

	_, err = credential.TokenFile(folder)
	g.Expect(err).To(MatchError(And(ContainSubstring(folder), ContainSubstring("is a directory"))))
	for _, none := range []func(string) error{credential.ReadableFile, func(path string) error { _, err := credential.TokenFile(path); return err }} {
		g.Expect(none(path + "x")).To(MatchError(os.ErrNotExist))
		g.Expect(none(path + "x")).To(MatchError(ContainSubstring(path + "x")))
		for _, secret := range []string{"XQZ", "/XQZ\nXQZ", "XQZ/XQZ=="} {
			g.Expect(none(secret)).To(MatchError(And(ContainSubstring("expected a path"), Not(ContainSubstring("XQZ")))))
		}
	}
}

func TestRepeats(t *testing.T) {
	g := NewWithT(t)
	g.Expect(credential.Repeats("xabcx", "zzabcz")).To(BeTrue())
	g.Expect(credential.Repeats("xabx", "zzabcz")).To(BeFalse())
	g.Expect(credential.Repeats("for user abc", "zzabcz", "user abc")).To(BeFalse(), "it is public")
	g.Expect(credential.Repeats("ab", "ab")).To(BeFalse(), "too short to be one")
	g.Expect(credential.Repeats("", "abc")).To(BeFalse())
	long := strings.Repeat("0123456789", 11)
	g.Expect(credential.Repeats("port 1234", long)).To(BeFalse(), "by chance")
	g.Expect(credential.Repeats("12345678", long)).To(BeTrue())
	g.Expect(credential.Quote("said", "other")).To(Equal("said"))
	g.Expect(credential.Quote("said", "said")).To(Equal(credential.LeftOut))
}

// Real answers, and real failures to get one.
func TestCause(t *testing.T) {
	g := NewWithT(t)
	const secret = "/hook/XQZXQZ?key=XQZXQZ"
	ask := func(ctx context.Context, c *http.Client, address string) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.Replace(address, "://", "://me:XQZ@", 1)+secret, http.NoBody)
		g.Expect(err).NotTo(HaveOccurred())
		answer, err := c.Do(request)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			g.Expect(answer.Body.Close()).To(Succeed())
		}
		g.Expect(err).To(HaveOccurred())
		cause := credential.Cause(err)
		for each := cause; each != nil; each = errors.Unwrap(each) {
			g.Expect(each.Error()).NotTo(ContainSubstring("XQZ"))
		}
		return cause
	}
	client := &http.Client{Transport: &http.Transport{}}
	raw := func(text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				fmt.Fprint(c, text)
				_ = c.Close()
			}
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()

	var network *net.OpError
	g.Expect(errors.As(ask(t.Context(), client, gone.URL), &network)).To(BeTrue())
	g.Expect(network.Op).To(Equal("dial"))
	var dns *net.DNSError
	g.Expect(errors.As(ask(t.Context(), client, "http://holdfast.invalid"), &dns)).To(BeTrue())
	var certificate *tls.CertificateVerificationError
	g.Expect(errors.As(ask(t.Context(), client, secure.URL), &certificate)).To(BeTrue())
	g.Expect(ask(t.Context(), client, "https"+strings.TrimPrefix(raw("HTTP/1.0 400 XQZ\r\n\r\n"), "http"))).To(MatchError(http.ErrSchemeMismatch))
	g.Expect(ask(t.Context(), client, raw(""))).To(MatchError(io.ErrUnexpectedEOF))
	g.Expect(ask(t.Context(), client, raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nXQZ"))).To(MatchError(io.ErrUnexpectedEOF))
	for _, text := range []string{"XQZ\r\n\r\n", "HTTP/1.1 XQZ\r\n\r\n", "HTTP/1.1 200 OK\r\nXQZ\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: ://XQZ\r\n\r\n"} {
		g.Expect(ask(t.Context(), client, raw(text))).To(MatchError(credential.ErrNotHTTP), text)
	}
	behind := &http.Client{Transport: &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("what is me:XQZ@proxy") }}}
	g.Expect(ask(t.Context(), behind, gone.URL)).To(MatchError(credential.ErrNotHTTP))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	g.Expect(ask(canceled, client, gone.URL)).To(MatchError(context.Canceled))
}

func TestProxies(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{"http://proxy:3128", "https://me:a%40b@proxy", " socks5://10.0.0.1:1080\n"} {
		g.Expect(credential.CheckProxy(text, "http", "https", "socks5")).To(Succeed(), text)
	}
	for _, text := range []string{"", "proxy:3128", "ftp://proxy", "http://", "http://me:a@b@proxy", "http://me:a/b@proxy", "http://proxy:x", "http://pro\nxy"} {
		g.Expect(credential.CheckProxy(text, "http", "https", "socks5")).NotTo(Succeed(), text)
	}
}
