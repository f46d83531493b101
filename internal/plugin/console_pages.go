package plugin

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"

	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// consolePages serve the pages of the report service to one person on this machine.
//
// Other users of the machine can connect, and pages of the web can make the browser connect. So every request needs this host by its name (a name of somebody else that leads here has another),
// no origin but this one, and the cookie of a session. A key in the address opens one. The address that a browser is started with has a key that works once: other users see the command line.
type consolePages struct {
	host    string
	cookie  string
	session string
	keys    consoleKeys
	proxy   *httputil.ReverseProxy
}

// consoleKeys open a session: first works once.
type consoleKeys struct {
	lasting, first string

	mu   sync.Mutex
	used bool
}

// opens reports whether a key opens a session.
func (k *consoleKeys) opens(key string) bool {
	if same(key, k.lasting) {
		return true
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !same(key, k.first) || k.used {
		return false
	}
	k.used = true
	return true
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// consoleKey is the parameter of the address that has a key.
const consoleKey = "console_key"

func newConsole(way *route, host string) (*consolePages, error) {
	transport, err := way.options.Transport()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return nil, err
	}
	p := &consolePages{host: host, cookie: "holdfast-console-" + port, session: rand.Text(), keys: consoleKeys{lasting: rand.Text(), first: rand.Text()}}
	p.proxy = &httputil.ReverseProxy{
		Transport: &withToken{transport, way.tokens},
		Rewrite:   func(r *httputil.ProxyRequest) { outward(r, way.base) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del("Set-Cookie")
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			refuse(w, http.StatusBadGateway, "The report service cannot be reached: "+reportsclient.Printable(err.Error())+". Load the page again, or see the command's output.")
		},
		ErrorLog: silent(),
	}
	return p, nil
}

// outward makes of a browser's request the one to the service. Of its headers only those go along that choose a form of the answer.
func outward(r *httputil.ProxyRequest, base *url.URL) {
	r.SetURL(base)
	r.Out.URL.RawQuery = r.In.URL.RawQuery // the proxy drops what it cannot read of a query: the service refuses it, and says why
	r.Out.Host = ""
	r.Out.Header = http.Header{}
	for _, name := range []string{"Accept", "If-None-Match"} {
		for _, value := range r.In.Header.Values(name) {
			r.Out.Header.Add(name, value)
		}
	}
}

// withToken puts the token on requests.
type withToken struct {
	http.RoundTripper
	tokens *tokens
}

// RoundTrip implements http.RoundTripper. A token that the service refuses is used no more: the account may have been made again.
func (t *withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.tokens.get(r.Context())
	if err != nil {
		return nil, err
	}
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+token)
	reply, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, credential.Cause(err)
	}
	if reply.StatusCode == http.StatusUnauthorized {
		t.tokens.forget(token)
	}
	return reply, nil
}

// address is one that a key opens.
func (p *consolePages) address(key, path string) string {
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	return "http://" + p.host + path + join + consoleKey + "=" + key
}

// ServeHTTP implements http.Handler.
func (p *consolePages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	switch origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site"); {
	case r.Host != p.host:
		refuse(w, http.StatusMisdirectedRequest, "This is the console at http://"+p.host+", and no other host.")
		return
	case origin != "" && origin != "http://"+p.host, site != "" && site != "same-origin" && site != "none":
		refuse(w, http.StatusForbidden, "Another site asked for this page. Open the address that the command printed.")
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		h.Set("Allow", "GET, HEAD")
		refuse(w, http.StatusMethodNotAllowed, "The console only reads.")
		return
	}
	if q := r.URL.Query(); q.Has(consoleKey) && p.keys.opens(q.Get(consoleKey)) {
		q.Del(consoleKey)
		http.SetCookie(w, &http.Cookie{Name: p.cookie, Value: p.session, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // no Secure: it is plain HTTP, and does not leave the machine
		h.Set("Cache-Control", "no-store")
		http.Redirect(w, r, (&url.URL{Path: "/", RawQuery: q.Encode()}).String(), http.StatusSeeOther)
		return
	}
	if cookie, err := r.Cookie(p.cookie); err != nil || !same(cookie.Value, p.session) {
		refuse(w, http.StatusForbidden, "This needs a session. Open the address that the command printed.")
		return
	}
	p.proxy.ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	fmt.Fprintln(w, text)
}

// silent logs nothing: what matters is an answer.
func silent() *log.Logger { return log.New(io.Discard, "", 0) }
