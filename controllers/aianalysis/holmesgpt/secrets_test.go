package holmesgpt_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/holmesgpt"
	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
)

func TestNoErrorHasWhatIsSecretInAnAddress(t *testing.T) {
	workflows, public := cat(t), ""
	for _, address := range []string{"", "https://a@b@c", "https://a#", "https:// /", "https://%", "https://%00", "https://a@b", "a\nb"} {
		_, err := holmesgpt.New(address, workflows)
		public += fmt.Sprintln(err)
	}
	for _, form := range []string{
		"http://me:%s@holmes.invalid", "http://%s@holmes.invalid:5050/x", "http://holmes.invalid?key=%s", "http://holmes.invalid/#%s", "me:%s@holmes.invalid", "%s", "holmes.invalid/%s",
		"ftp://me:%s@holmes.invalid", "http://me:12/%s@holmes.invalid", "http://me:12?%s@holmes.invalid", "http://me:12#%s@holmes.invalid", "http://me:%s@holmes.invalid:port", "http://me:%s@",
	} {
		t.Run(form, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				secret := secrets.Password().Draw(rt, "secret")
				_, err := holmesgpt.New(strings.ReplaceAll(form, "%s", secret), workflows)
				if err == nil {
					rt.Fatalf("%q is taken in %s", secret, form)
				}
				if part := secrets.Leak(secrets.Whole(err), strings.TrimSpace(secret), form, public); part != "" {
					rt.Fatalf("%q is said of %q: %s", part, secret, secrets.Whole(err))
				}
			})
		})
	}
}

// Whatever gets the token may repeat it: the server, a proxy before it, whoever has the address now.
func TestNoErrorHasTheToken(t *testing.T) {
	workflows := cat(t)
	given := func(r *http.Request) string { return r.Header.Get("Authorization") }
	for what, answer := range map[string]http.HandlerFunc{
		"in a refusal": func(w http.ResponseWriter, r *http.Request) {
			status(http.StatusUnauthorized, given(r)+" is unknown")(w, r)
		},
		"in half of one": func(w http.ResponseWriter, r *http.Request) {
			status(http.StatusBadGateway, given(r)[:len(given(r))/2+5])(w, r)
		},
		"at the end of what is quoted": func(w http.ResponseWriter, r *http.Request) {
			status(http.StatusBadGateway, strings.Repeat(".", 480)+given(r))(w, r)
		},
		"in a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/login?"+given(r), http.StatusFound)
		},
		"in a broken one": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "://"+given(r))
			w.WriteHeader(http.StatusFound)
		},
		"in what is no API": func(w http.ResponseWriter, r *http.Request) { body(given(r))(w, r) },
		"in an analysis":    func(w http.ResponseWriter, r *http.Request) { chat(given(r))(w, r) },
		"in a confidence": func(w http.ResponseWriter, r *http.Request) {
			chat(strings.Replace(good, "92", fmt.Sprintf("%q", given(r)), 1))(w, r)
		},
		"in no HTTP":  secrets.Repeat("%s\r\n\r\n"),
		"in a status": secrets.Repeat("HTTP/1.1 2%s\r\n\r\n"),
		"in a header": secrets.Repeat("HTTP/1.1 200 OK\r\n%s\r\n\r\n"),
	} {
		t.Run(what, func(t *testing.T) {
			s := serve(t, answer)
			path := filepath.Join(t.TempDir(), "token")
			rapid.Check(t, func(rt *rapid.T) {
				token := secrets.Token().Draw(rt, "token")
				if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
					rt.Fatal(err)
				}
				option := rapid.SampledFrom([]holmesgpt.Option{holmesgpt.WithToken(" " + token + "\n"), holmesgpt.WithTokenFile(path)}).Draw(rt, "option")
				client, err := holmesgpt.New(" "+s.URL+"\n", workflows, option)
				if err != nil {
					rt.Fatal(err)
				}
				if _, err = client.Investigate(context.Background(), request); err == nil {
					rt.Fatal("expected an error")
				}
				if part := secrets.Leak(secrets.Whole(err), token, s.URL); part != "" {
					rt.Fatalf("%q is said of the token %q: %s", part, token, secrets.Whole(err))
				}
			})
		})
	}
}

func TestTokensThatCannotWorkAreRefused(t *testing.T) {
	s := serve(t, chat(good))
	path := filepath.Join(t.TempDir(), "token")
	for what, content := range map[string]string{"a newline": "XQZX\nZQXZ", "a NUL": "XQZX\x00ZQXZ", "a word before it": "Bearer XQZXZQXZ", "nothing": " \n", "letters": "XQZXéZQXZ"} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			showsNoSecret := And(ContainSubstring("expected"), Not(ContainSubstring("XQZ")), Not(ContainSubstring("ZQX")))
			g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
			_, err := ask(t, s, holmesgpt.WithTokenFile(path))
			g.Expect(err).To(MatchError(And(showsNoSecret, ContainSubstring(path))))
			_, err = holmesgpt.New(s.URL, cat(t), holmesgpt.WithToken(content))
			g.Expect(err).To(MatchError(And(showsNoSecret, ContainSubstring("--investigator-token"))))
		})
	}
	_, err := ask(t, s, holmesgpt.WithTokenFile("XQZXZQXZ"))
	NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring("expected a path"), Not(ContainSubstring("XQZ")))))
}
