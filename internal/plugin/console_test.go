//go:build unix

package plugin_test

import (
	"bufio"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// browser asks the console as a browser does. Headers are name and value by turns; Host is the request's.
type browser struct {
	*WithT
	client *http.Client
	base   string
}

func (b *browser) ask(method, path string, headers ...string) (status int, body string) {
	r, err := http.NewRequest(method, b.base+path, http.NoBody)
	b.Expect(err).NotTo(HaveOccurred())
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	reply, err := b.client.Do(r)
	b.Expect(err).NotTo(HaveOccurred())
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	b.Expect(err).NotTo(HaveOccurred())
	b.Expect(reply.Header["Set-Cookie"]).To(Or(BeEmpty(), HaveEach(And(ContainSubstring("HttpOnly"), ContainSubstring("SameSite=Strict")))))
	return reply.StatusCode, string(text)
}

// console tries the pages, and everybody who must not see them.
func (f *fixture) console(t *testing.T, in *installed) {
	g := NewWithT(t)
	cmd := exec.CommandContext(ctx, filepath.Join(programs, "kubectl-holdfast"), "console", "-n", f.namespace, "--as=jane")
	cmd.Env = append(surroundings(), "https_proxy=http://127.0.0.1:1", "NO_PROXY=127.0.0.1") // which nothing goes through
	out, err := cmd.StdoutPipe()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(cmd.Start()).To(Succeed())
	said, err := bufio.NewReader(out).ReadString('\n')
	g.Expect(err).NotTo(HaveOccurred())
	address, err := url.Parse(strings.TrimSpace(said[strings.LastIndex(said, " ")+1:]))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(address.Hostname()).To(Equal("127.0.0.1"))
	jar, err := cookiejar.New(nil)
	g.Expect(err).NotTo(HaveOccurred())
	me := &browser{g, &http.Client{Jar: jar}, "http://" + address.Host}
	stranger := &browser{g, &http.Client{}, me.base}

	status, body := me.ask("GET", address.RequestURI(), "Accept", "text/html", "Sec-Fetch-Site", "none")
	g.Expect(status).To(Equal(http.StatusOK), body)
	g.Expect(body).To(And(ContainSubstring("absent"), Not(ContainSubstring("console_key"))))
	status, body = me.ask("GET", "/trends?since=24h&namespace="+f.namespace, "Accept", "text/html", "Sec-Fetch-Site", "same-origin", "Origin", me.base, "Authorization", "Bearer other")
	g.Expect(status).To(Equal(http.StatusOK), body)

	for name, refused := range map[string]struct {
		who    *browser
		method string
		header []string
		status int
	}{
		"no session":             {stranger, "GET", nil, http.StatusForbidden},
		"another name for it":    {me, "GET", []string{"Host", "evil.example.com"}, http.StatusMisdirectedRequest},
		"another site's script":  {me, "GET", []string{"Origin", "https://evil.example.com"}, http.StatusForbidden},
		"no origin":              {me, "GET", []string{"Origin", "null"}, http.StatusForbidden},
		"another site's picture": {me, "GET", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		"another port":           {me, "GET", []string{"Sec-Fetch-Site", "same-site"}, http.StatusForbidden},
		"a form":                 {me, "POST", []string{"Origin", me.base}, http.StatusMethodNotAllowed},
		"another key":            {stranger, "GET", []string{"Cookie", "holdfast-console-" + address.Port() + "=x"}, http.StatusForbidden},
	} {
		status, body := refused.who.ask(refused.method, "/", refused.header...)
		g.Expect(status).To(Equal(refused.status), name)
		g.Expect(body).NotTo(ContainSubstring("absent"), name)
	}

	// The Pod goes away, and another comes.
	in.node.Drop()
	g.Eventually(func() int {
		status, _ := me.ask("GET", "/?namespace="+f.namespace, "Accept", "text/html")
		return status
	}, testenv.Timeout, testenv.Interval).Should(Equal(http.StatusOK))

	g.Expect(cmd.Process.Signal(syscall.SIGINT)).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	g.Eventually(ended, testenv.Timeout).Should(Receive(BeNil()))
}
