package serving

import (
	"encoding/base64"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestExpiry(t *testing.T) {
	at := time.Unix(1790000000, 0)
	for token, expected := range map[string]time.Time{
		jwt(`{"exp":1790000000}`):           at,
		jwt(`{"exp":1790000000.9}`):         at,
		jwt(`{"exp":1.79e9}`):               at,
		jwt(`{"exp":-1e300}`):               time.Unix(0, 0),
		jwt(`{"exp":1e300}`):                {},
		jwt(`{"exp":"1790000000"}`):         {},
		jwt(`{"exp":null}`):                 {},
		jwt(`{}`):                           {},
		jwt(`[]`):                           {},
		jwt(`{"exp":1790000000`):            {},
		"opaque":                            {},
		"a.b.c":                             {},
		"..":                                {},
		jwt(`{"exp":1790000000}`) + ".more": {},
	} {
		found, ok := expiry(token)
		NewWithT(t).Expect(ok).To(Equal(!expected.IsZero()), token)
		NewWithT(t).Expect(found.Equal(expected)).To(BeTrue(), "%s: %s", token, found)
	}
	rapid.Check(t, func(t *rapid.T) { // whatever a caller sends
		expiry(rapid.String().Draw(t, "token"))
		expiry(jwt(rapid.String().Draw(t, "payload")))
		expiry(jwt(`{"exp":` + rapid.StringMatching(`-?[0-9]{1,400}(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?`).Draw(t, "exp") + `}`))
	})
}

func TestBearer(t *testing.T) {
	for header, expected := range map[string]string{
		"Bearer abc": "abc", "bearer abc": "abc", "BEARER   abc ": "abc",
		"": "", "Bearer": "", "Bearer ": "", "Basic abc": "", "Bearerabc": "", "abc": "",
	} {
		NewWithT(t).Expect(Bearer(&http.Request{Header: http.Header{"Authorization": {header}}})).To(Equal(expected), header)
	}
	NewWithT(t).Expect(Bearer(&http.Request{Header: http.Header{"Authorization": {"Bearer a", "Bearer b"}}})).To(BeEmpty())
	NewWithT(t).Expect(Bearer(&http.Request{Header: http.Header{}})).To(BeEmpty())
}

func TestKeysOfTokens(t *testing.T) {
	g := NewWithT(t)
	one, other := newTokenHash(), newTokenHash()
	g.Expect(one.of("a")).To(Equal(one.of("a")))
	g.Expect(one.of("a")).NotTo(Equal(one.of("b")))
	g.Expect(one.of("a")).NotTo(Equal(other.of("a")), "each process has a key of its own")
}

func TestLoopback(t *testing.T) {
	for address, expected := range map[string]bool{
		"127.0.0.1:8080": true, "127.9.9.9:0": true, "[::1]:8080": true, "localhost:8080": true, "[::ffff:127.0.0.1]:1": true,
		":8080": false, "0.0.0.0:8080": false, "[::]:8080": false, "10.0.0.1:1": false, "example.com:1": false, "localhost.example.com:1": false, "127.0.0.1": false, "0": false, "": false,
	} {
		NewWithT(t).Expect(Loopback(address)).To(Equal(expected), address)
	}
}
