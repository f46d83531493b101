package storageclient_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/storageclient"
)

func TestAddressesThatCannotWork(t *testing.T) {
	for address, o := range map[string]storageclient.Options{
		"storage:8443":                 {},
		"ftp://storage":                {},
		"https://":                     {},
		"https://me:secret@storage":    {},
		"https://storage?token=secret": {},
		"http://storage.example.com":   {},
		"https://storage.example.com":  {SkipVerify: true},
		"https://two.example.com":      {Token: "a", TokenFile: "b"},
		"https://127.0.0.1:1":          {CAFile: "/no/such/file"},
	} {
		g := NewWithT(t)
		_, err := storageclient.New(address, o)
		g.Expect(err).To(HaveOccurred(), address)
		g.Expect(err.Error()).NotTo(ContainSubstring("secret@"))
	}
	_, err := storageclient.New("http://localhost:8080", storageclient.Options{})
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
}

func item(t *testing.T) relay.Item {
	t.Helper()
	at := time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	source := entry.Source{Namespace: "shop", Name: "cart", UID: "6f1d3a52-7c1f-4c0a-9a3e-5b2d8a4b2c11", Created: at}
	o, _, err := entry.Append(nil, source, entry.Change{Kind: "carts.example.com", Event: "Changed", Record: map[string]string{}}, at, entry.Salt{}, entry.DefaultLimits())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return relay.NewItems(source, "Cart", entry.PendingOf(source.UID, o))[0]
}

// Whatever an address answers that is not the service's word on each entry is an error: an entry may leave its resource only when it is durable.
func TestAnswersThatProveNothing(t *testing.T) {
	for answer, person := range map[string]bool{
		"200 ":                                  false,
		"200 <html>":                            false,
		"200 {}":                                false,
		`200 {"outcomes":[]}`:                   false,
		`200 {"outcomes":[{}]}`:                 false,
		`200 {"outcomes":[{"result":""}]}`:      false,
		`200 {"outcomes":[{"result":"eaten"}]}`: false,
		`200 {"outcomes":[{"result":"stored"},{"result":"stored"}]}`: false,
		`202 {"outcomes":[{"result":"stored"}]}`:                     true,
		"302 ":                                                       true,
		"404 <html>":                                                 true,
		`409 {"title":"Conflict","status":409}`:                      true,
		`422 {"title":"Unprocessable Entity","status":422,"detail":"the body is not as it should be"}`: true,
		"408 ": false,
		`429 {"title":"Too Many Requests","status":429}`: false,
		"500 ":       false,
		"502 <html>": false,
		`503 {"title":"Service Unavailable","status":503}`: false,
	} {
		t.Run(answer, func(t *testing.T) {
			g := NewWithT(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				var status int
				_, err := fmt.Sscan(answer, &status)
				g.Expect(err).NotTo(HaveOccurred())
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
				_, _ = io.WriteString(w, answer[4:])
			}))
			defer server.Close()
			c, err := storageclient.New(server.URL, storageclient.Options{})
			g.Expect(err).NotTo(HaveOccurred())
			outcomes, err := c.Store("").Persist(t.Context(), []relay.Item{item(t)})
			g.Expect(err).To(HaveOccurred())
			g.Expect(outcomes).To(BeNil())
			if person {
				g.Expect(err).To(MatchError(relay.ErrSchema))
			} else {
				g.Expect(err).NotTo(MatchError(relay.ErrSchema))
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{"7": 7 * time.Second, "": 0, "-1": 0, "soon": 0, time.Now().Add(time.Hour).UTC().Format(http.TimeFormat): time.Hour} {
		g := NewWithT(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		c, err := storageclient.New(server.URL, storageclient.Options{})
		g.Expect(err).NotTo(HaveOccurred())
		var asked *storageclient.Error
		_, err = c.Store("").Persist(t.Context(), []relay.Item{item(t)})
		g.Expect(errors.As(err, &asked)).To(BeTrue())
		g.Expect(asked.RetryAfter()).To(BeNumerically("~", want, time.Minute), value)
		server.Close()
	}
}

func TestTokensAndCertificates(t *testing.T) {
	g := NewWithT(t)
	var seen []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization")+" "+r.UserAgent())
		_, _ = io.WriteString(w, `{"outcomes":[]}`)
	}))
	defer server.Close()
	token, ca := filepath.Join(t.TempDir(), "token"), filepath.Join(t.TempDir(), "ca.crt")
	g.Expect(os.WriteFile(token, []byte("first\n"), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600)).To(Succeed())
	for _, o := range []storageclient.Options{{TokenFile: token, CAFile: ca, UserAgent: "test"}, {Token: "second", SkipVerify: true}} {
		c, err := storageclient.New(server.URL, o)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(c.Store("").Check(t.Context())).To(Succeed())
	}
	g.Expect(seen).To(HaveExactElements(Equal("Bearer first test"), HavePrefix("Bearer second ")))
	c, err := storageclient.New(server.URL, storageclient.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	err = c.Store("").Check(context.Background())
	g.Expect(err).To(MatchError(ContainSubstring("certificate")), "nobody vouches for it")
	g.Expect(err).NotTo(MatchError(relay.ErrSchema))
}

func TestRecordsOfOneTypeAtATime(t *testing.T) {
	g := NewWithT(t)
	var bodies []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies = append(bodies, r.URL.Path+" "+string(body))
		_, _ = io.WriteString(w, `[{"id":"x","status":"stored","repaired":1}]`)
	}))
	defer server.Close()
	c, err := storageclient.New(server.URL+"/behind/a/proxy/", storageclient.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	at := outboxapi.NewTime(time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC))
	note := storageclient.Notification{Envelope: storageclient.Envelope{ID: "0", Final: true}, Notification: models.Notification{RemediationID: "r", NotificationRequestedAt: at}}
	receipts, err := c.Post(t.Context(), note)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(receipts).To(Equal([]storageclient.Receipt{{ID: "x", Status: "stored", Repaired: 1}}))
	path, body, _ := strings.Cut(bodies[0], " ")
	g.Expect(path).To(Equal("/behind/a/proxy/api/v1/audit/notifications"))
	g.Expect(body).To(MatchJSON(`[{"id":"0","final":true,"remediation_id":"r","notification_requested_at":"2026-11-23T04:05:06.000000Z"}]`))
	_, err = c.Post(t.Context(), note, storageclient.Execution{})
	g.Expect(err).To(MatchError(ContainSubstring("number 2 is a storageclient.Execution")))
	_, err = c.Post(t.Context())
	g.Expect(err).To(HaveOccurred())
}

// Behind a slow link the service gives up on a body that takes too long. Halves arrive.
func TestWhatDoesNotArriveInTimeIsHalved(t *testing.T) {
	g := NewWithT(t)
	var sizes []int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var sent storageclient.Entries
		g.Expect(json.NewDecoder(r.Body).Decode(&sent)).To(Succeed())
		sizes = append(sizes, len(sent.Entries))
		if len(sent.Entries) > 1 {
			w.WriteHeader(http.StatusRequestTimeout)
			return
		}
		_, _ = io.WriteString(w, `{"outcomes":[{"result":"stored"}]}`)
	}))
	defer server.Close()
	c, err := storageclient.New(server.URL, storageclient.Options{})
	g.Expect(err).NotTo(HaveOccurred())
	outcomes, err := c.Store("").Persist(t.Context(), []relay.Item{item(t), item(t), item(t)})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcomes).To(HaveLen(3))
	g.Expect(sizes).To(Equal([]int{3, 1, 2, 1, 1}))
}
