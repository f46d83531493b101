package storageclient_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// said is what New says of addresses of every kind.
func said(addresses ...string) (all string) {
	for _, address := range addresses {
		_, err := storageclient.New(address, storageclient.Options{})
		all += fmt.Sprintln(err)
	}
	return all
}

func TestNoErrorHasWhatIsSecretInAnAddress(t *testing.T) {
	public := said("", "https://", "https://a@b@c", "https://a#", "https:// /", "https://%", "https://%00", "https://a@b", "a\nb", "http://a.example.com")
	for _, form := range []string{
		"https://me:%s@storage.invalid", "https://%s@storage.invalid/x", "https://storage.invalid?token=%s", "https://storage.invalid/#%s", "me:%s@storage.invalid", "%s",
		"ftp://me:%s@storage.invalid", "https://me:12/%s@storage.invalid", "https://me:12?%s@storage.invalid", "https://me:12#%s@storage.invalid", "http://me:%s@storage.invalid",
		"https://me:%s@storage.invalid:port", "https://me:%s@", "https://me:%s@127.0.0.1",
	} {
		t.Run(form, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				secret := secrets.Password().Draw(t, "secret")
				_, err := storageclient.New(strings.ReplaceAll(form, "%s", secret), storageclient.Options{Token: "t"})
				if err == nil {
					t.Fatalf("%q is taken in %s", secret, form)
				}
				if part := secrets.Leak(secrets.Whole(err), strings.TrimSpace(secret), form, public); part != "" {
					t.Fatalf("%q is said of %q: %s", part, secret, secrets.Whole(err))
				}
			})
		})
	}
}

// Whatever gets the token may repeat it: the service, a proxy before it, whoever has the address now.
func TestNoErrorHasTheToken(t *testing.T) {
	answers := map[string]http.HandlerFunc{
		"in a problem": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"title":"Unauthorized %[1]s","detail":"%[1]s is unknown","errors":[{"pointer":"/%[1]s","detail":"%[1]s"}]}`, r.Header.Get("Authorization"))
		},
		"in half": func(w http.ResponseWriter, r *http.Request) { echo(w, r, `{"title":"x","detail":"half: %s"}`) },
		"in a redirect": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "://"+r.Header.Get("Authorization"))
			w.WriteHeader(http.StatusFound)
		},
		"in no HTTP":  secrets.Repeat("%s\r\n\r\n"),
		"in a status": secrets.Repeat("HTTP/1.1 2%s\r\n\r\n"),
		"in a header": secrets.Repeat("HTTP/1.1 200 OK\r\n%s\r\n\r\n"),
		"in a chunk":  secrets.Repeat("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n"),
		"in an outcome": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"outcomes":[{"result":%q}]}`, r.Header.Get("Authorization"))
		},
		"in the wrong z": func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Header.Get("Authorization")) },
	}
	for what, answer := range answers {
		t.Run(what, func(t *testing.T) {
			server := httptest.NewServer(answer)
			defer server.Close()
			path := filepath.Join(t.TempDir(), "token")
			rapid.Check(t, func(rt *rapid.T) {
				token := secrets.Token().Draw(rt, "token")
				if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
					rt.Fatal(err)
				}
				for _, o := range []storageclient.Options{{Token: " " + token + "\n"}, {TokenFile: path}} {
					c, err := storageclient.New(server.URL, o)
					if err != nil {
						rt.Fatal(err)
					}
					_, err = c.Store("").Persist(context.Background(), []relay.Item{item(t)})
					if err == nil {
						rt.Fatal("expected an error")
					}
					if part := secrets.Leak(secrets.Whole(err), token, server.URL); part != "" {
						rt.Fatalf("%q is said of the token %q: %s", part, token, secrets.Whole(err))
					}
				}
			})
		})
	}
}

func echo(w http.ResponseWriter, r *http.Request, format string) {
	w.WriteHeader(http.StatusInternalServerError)
	token := r.Header.Get("Authorization")
	fmt.Fprintf(w, format, token[:len(token)/2+4])
}

func TestTokensThatCannotWork(t *testing.T) {
	folder := t.TempDir()
	for what, content := range map[string]string{"a newline": "XQZX\nZQXZ", "a NUL": "XQZX\x00ZQXZ", "a word before it": "Bearer XQZXZQXZ", "nothing": " \n", "letters": "XQZXéZQXZ"} {
		t.Run(what, func(t *testing.T) {
			g := NewWithT(t)
			path := filepath.Join(folder, "token")
			g.Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
			_, err := storageclient.New("https://storage.invalid", storageclient.Options{TokenFile: path})
			g.Expect(err).To(MatchError(And(ContainSubstring("--store-token-file"), ContainSubstring(path), ContainSubstring("expected"), Not(ContainSubstring("XQZ")), Not(ContainSubstring("ZQX")))))
			if strings.TrimSpace(content) == "" {
				return
			}
			_, err = storageclient.New("https://storage.invalid", storageclient.Options{Token: content})
			g.Expect(err).To(MatchError(And(ContainSubstring("--store-token"), ContainSubstring("expected"), Not(ContainSubstring("XQZ")), Not(ContainSubstring("ZQX")))))
		})
	}
}

// Whoever gives the token itself in the place of a file finds it in no log.
func TestATokenInThePlaceOfAFile(t *testing.T) {
	for _, o := range []storageclient.Options{{TokenFile: "XQZXZQXZ"}, {CAFile: "-----BEGIN CERTIFICATE-----\nXQZXZQXZ\n-----END CERTIFICATE-----"}} {
		_, err := storageclient.New("https://storage.invalid", o)
		NewWithT(t).Expect(err).To(MatchError(And(ContainSubstring("expected a path"), Not(ContainSubstring("XQZ")))))
	}
}
