package storageapi

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// corpus are bodies that mean no good, by what they are. Each must be refused as documented.
func corpus() map[string]string {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte(" "), 1<<20))
	_ = z.Close()
	in := func(member string) string { return note(member) }
	return map[string]string{
		"nothing":                "",
		"spaces":                 strings.Repeat(" ", 1<<16),
		"zeros":                  strings.Repeat("\x00", 1<<12),
		"binary":                 "\xff\xfe\xfd",
		"byte order mark":        "\xef\xbb\xbf" + note(),
		"UTF-16":                 "\xff\xfe{\x00}\x00",
		"gzip unannounced":       zipped.String(),
		"open object":            "{",
		"open array":             "[",
		"open string":            `{"remediation_id":"`,
		"deep arrays":            strings.Repeat("[", 200_000),
		"deep arrays, closed":    strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000),
		"deep objects":           strings.Repeat(`{"a":`, 9_000) + "1" + strings.Repeat("}", 9_000),
		"deep within":            in(`"channels":` + strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)),
		"many empty arrays":      "[" + strings.Repeat("[],", 400_000) + "[]]",
		"many names":             "{" + strings.Repeat(`"a":0,`, 200_000) + `"a":0}`,
		"many channels":          in(`"channels":[` + strings.Repeat(`"",`, 200_000) + `""]`),
		"long name":              `{"` + strings.Repeat("n", 1<<20) + `":1}`,
		"long number":            in(`"delivery_attempts":[{"channel":"c","status":"s","duration":` + strings.Repeat("9", 1<<20) + `}]`),
		"number beyond doubles":  in(`"schema_version":1e400`),
		"number almost none":     in(`"schema_version":1e-400`),
		"not a number":           in(`"schema_version":NaN`),
		"same field twice":       in(`"subject":"a","subject":"b"`),
		"same field, other case": in(`"Subject":"a"`),
		"prototype":              in(`"__proto__":{"admin":true}`),
		"SQL in a name":          in(`"subject'); DROP TABLE notification_audit; --":"x"`),
		"id of another kind":     in(`"id":"{019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b}"`),
		"id of an entry":         in(`"id":"019ab3c4-5d6e-8f80-9a1b-2c3d4e5f6a7b"`),
		"claims":                 in(`"sequence":1`),
		"two documents":          note() + note(),
		"trailing comma":         `{"remediation_id":"r",}`,
		"comment":                "{/* */}",
		"form":                   "remediation_id=r",
		"XML":                    `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>`,
		"year beyond RFC 3339":   in(`"notification_sent_at":"0000-01-01T00:00:00+14:00"`),
		"no time":                in(`"notification_sent_at":"0001-01-01T00:00:00Z"`),
		"leap second":            in(`"notification_sent_at":"2016-12-31T23:59:60Z"`),
	}
}

// harmless bodies look odd and are good.
func harmless() map[string]string {
	return map[string]string{
		"SQL in a text":     note(`"subject":"'); DROP TABLE notification_audit; -- ?0 $1 ?TableName"`),
		"escapes":           note(`"subject":"\u0000\\u0000\ud800\udfff\ud83d\ude00"`),
		"not UTF-8":         note("\"subject\":\"\xff\xc0\x80\""),
		"spaces at the end": note(`"subject":"` + strings.Repeat(" ", 70_000) + `"`),
		"long text":         note(`"subject":"` + strings.Repeat("ä\U0001F525", 300_000) + `"`),
		"null":              note(`"subject":null`, `"id":null`, `"channels":null`),
		"exponents":         note(`"delivery_attempts":[{"channel":"c","status":"s","duration":1e3,"attempt":1.0}]`),
	}
}

func TestHostileBodies(t *testing.T) {
	s := start(t)
	c := readContract(t, s)
	for name, body := range corpus() {
		t.Run(name, func(t *testing.T) {
			answer := s.post(notifications, body)
			c.documented(http.MethodPost, notifications, answer)
			g := NewWithT(t)
			g.Expect(answer.status).To(And(BeNumerically(">=", 400), BeNumerically("<", 500)), answer.body)
			g.Expect(len(answer.body)).To(BeNumerically("<", 400_000), "a refusal does not grow with what it refuses")
		})
	}
	NewWithT(t).Expect(s.count("notification_audit")).To(BeZero())
	for name, body := range harmless() {
		t.Run(name, func(t *testing.T) {
			answer := s.post(notifications, body)
			NewWithT(t).Expect(answer.status).To(Equal(http.StatusCreated), answer.body)
		})
	}
	s.verified()
}

func TestHostileHeaders(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	c := readContract(t, s)
	for want, headers := range map[int][][]string{
		http.StatusUnsupportedMediaType: {{"Content-Type", ""}, {"Content-Type", "text/plain"}, {"Content-Type", "application/json; charset=utf-16"}, {"Content-Type", strings.Repeat("x", 5000)},
			{"Content-Encoding", "gzip"}, {"Content-Encoding", "br, gzip"}, {"Content-Type", "application/x-www-form-urlencoded"}, {"Content-Type", "multipart/form-data; boundary=x"}},
		http.StatusUnauthorized: {{"Authorization", "Basic cG9zdGVyOg=="}, {"Authorization", "Bearer"}, {"Authorization", strings.Repeat("Bearer ", 1000)}},
		http.StatusCreated: {{"Content-Type", "Application/JSON; Charset=UTF-8"}, {"Content-Encoding", "identity"}, {"traceparent", "00-zz"}, {"traceparent", strings.Repeat("0", 5000)},
			{"X-Forwarded-For", "127.0.0.1"}, {"X-HTTP-Method-Override", "DELETE"}, {"Expect", "100-continue"}},
	} {
		for _, h := range headers {
			answer := s.post(notifications, note(), h...)
			g.Expect(answer.status).To(Equal(want), "%.60q", h)
			c.documented(http.MethodPost, notifications, answer)
		}
	}
	for _, path := range []string{"/", "/api/v1/audit/notifications/", "//api/v1/audit/notifications", "/api/v1/audit/../audit/notifications", "/api/v1/audit/unknown", "/debug/pprof/", "/%00", "/docs/../metrics"} {
		answer := s.do(http.MethodGet, path, "poster", nil)
		g.Expect(answer.status).To(Equal(http.StatusNotFound), path)
		answer.problem(t)
	}
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions, "NONSENSE"} {
		answer := s.do(method, notifications, "poster", nil)
		g.Expect(answer.status).To(Equal(http.StatusMethodNotAllowed), method)
		g.Expect(answer.header.Get("Allow")).To(Equal("POST"))
	}
	g.Expect(s.do(http.MethodPost, "/metrics", "", nil).status).To(Equal(http.StatusMethodNotAllowed))
	series := s.do(http.MethodGet, "/metrics", "", nil).body
	g.Expect(series).To(And(ContainSubstring(`method="other",path="/api/v1/audit/notifications"`), ContainSubstring(`path="other"`), Not(ContainSubstring("NONSENSE")), Not(ContainSubstring("pprof"))))
}

// raw talks to the service without net/http's client, which would not say such things.
func (s *service) raw(text string) net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	s.t.Cleanup(func() { _ = conn.Close() })
	_, err = io.WriteString(conn, text)
	NewWithT(s.t).Expect(err).NotTo(HaveOccurred())
	return conn
}

// statusOf reads the answer, and whether the connection is closed after it.
func statusOf(t *testing.T, conn net.Conn) int {
	t.Helper()
	NewWithT(t).Expect(conn.SetReadDeadline(time.Now().Add(30 * time.Second))).To(Succeed())
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	_ = answer.Body.Close()
	return answer.StatusCode
}

const head = "POST " + notifications + " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer poster\r\nContent-Type: application/json\r\n"

func TestHostileConnections(t *testing.T) {
	g := NewWithT(t)
	s := start(t, func(c *Config) { c.Limits.ReadTimeout = 300 * time.Millisecond })
	g.Expect(statusOf(t, s.raw(head+"Content-Length: 100\r\n\r\n{"))).To(Equal(http.StatusRequestTimeout), "a body that does not come")
	g.Expect(statusOf(t, s.raw(head+"Transfer-Encoding: chunked\r\n\r\n5\r\n{\"rem"))).To(Equal(http.StatusRequestTimeout), "chunks that do not come")
	g.Expect(statusOf(t, s.raw(head+"Transfer-Encoding: chunked\r\n\r\nzz\r\n"))).To(Equal(http.StatusBadRequest), "no chunks")
	g.Expect(statusOf(t, s.raw(head+"Content-Length: 999999999999\r\n\r\n"))).To(Equal(http.StatusRequestEntityTooLarge), "refused before it is read")
	g.Expect(statusOf(t, s.raw(head+"Content-Length: -1\r\n\r\n"))).To(Equal(http.StatusBadRequest))
	g.Expect(statusOf(t, s.raw(head+"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))).To(Equal(http.StatusBadRequest), "smuggling: chunks count, and there are none")
	g.Expect(statusOf(t, s.raw(head+"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"))).To(Equal(http.StatusBadRequest))
	g.Expect(statusOf(t, s.raw("GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 1<<16)+"\r\n\r\n"))).To(Equal(http.StatusRequestHeaderFieldsTooLarge))
	g.Expect(statusOf(t, s.raw("nonsense\r\n\r\n"))).To(Equal(http.StatusBadRequest))
	g.Expect(statusOf(t, s.raw(head+"Authorization: Bearer relayer\r\nContent-Length: 2\r\n\r\n{}"))).To(Equal(http.StatusUnauthorized), "two callers are none")
	half := s.raw(head + "Content-Length: 100\r\n\r\n{")
	g.Expect(half.(*net.TCPConn).CloseWrite()).To(Succeed())
	g.Expect(statusOf(t, half)).To(Equal(http.StatusBadRequest), "a body that breaks off")
	for range 20 { // gone before the answer
		g.Expect(s.raw(head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(note()), note())).Close()).To(Succeed())
	}
	g.Expect(s.post(notifications, note()).status).To(Equal(http.StatusCreated), "it serves on")
	s.verified()
}

// Whatever comes, it is either refused with documented faults or becomes rows that verify will find in order.
func FuzzRead(f *testing.F) {
	for _, bodies := range []map[string]string{corpus(), harmless()} {
		for _, body := range bodies {
			if len(body) < 1<<14 {
				f.Add([]byte(body), true)
			}
		}
	}
	all := endpoints()
	for _, e := range all {
		for _, x := range e.examples {
			f.Add([]byte(x.text), false)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte, relay bool) {
		for _, e := range all {
			p, refused := e.read(body, arrival{caller: Caller{Name: "fuzz", MayRelay: relay}}, 500)
			if refused != nil {
				if refused.Status != 400 && refused.Status != 403 && refused.Status != 422 || refused.Status != 400 && len(refused.Errors) == 0 {
					t.Fatalf("%+v", refused)
				}
				continue
			}
			if len(p.rows) == 0 || len(p.rows) != len(p.receipts) {
				t.Fatalf("%d rows, %d receipts", len(p.rows), len(p.receipts))
			}
			for i, row := range p.rows {
				if h := row.Head(); h.ID != p.receipts[i].ID || h.Entry == "" || h.Event == "" || strings.Contains(h.Entry, "\x00") || row.Table() != e.table {
					t.Fatalf("%+v", h)
				}
			}
		}
	})
}
