package plugin

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	. "github.com/onsi/gomega"
)

// A filter that cannot be read must not become a list without it: the service sees the query as the browser sent it.
func TestTheServiceSeesTheWholeQuery(t *testing.T) {
	g := NewWithT(t)
	const query = "q=50%&alert=a;b&since=7d"
	in := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/?"+query, http.NoBody)
	out := in.Clone(t.Context())
	out.URL.RawQuery = "since=7d"
	outward(&httputil.ProxyRequest{In: in, Out: out}, &url.URL{Scheme: "https", Host: "reports.example.com"})
	g.Expect(out.URL.String()).To(Equal("https://reports.example.com/?" + query))
}

// Other users see the address that a browser is started with, so its key is of no use to them.
func TestTheKeyOfTheBrowserWorksOnce(t *testing.T) {
	g := NewWithT(t)
	k := consoleKeys{lasting: "lasting", first: "first"}
	g.Expect(k.opens("first")).To(BeTrue())
	g.Expect(k.opens("first")).To(BeFalse())
	g.Expect(k.opens("lasting")).To(BeTrue())
	g.Expect(k.opens("lasting")).To(BeTrue())
	g.Expect(k.opens("")).To(BeFalse())
}
