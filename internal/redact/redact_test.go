package redact_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/internal/redact"
)

// The parts are put together here, so that no scanner takes this file for a leak.
var (
	letters = strings.Repeat("aB3dE5gH7j", 8)
	upper   = strings.Repeat("ABCDEFG234", 4)
)

// planted are credentials of every shape: what must vanish, and the text that it comes in.
var planted = map[string][]struct{ secret, text string }{
	"github-token": {
		{"ghp_" + letters[:36], "ghp_" + letters[:36]},
		{"github_pat_" + letters[:22] + "_" + letters[:59], "github_pat_" + letters[:22] + "_" + letters[:59]},
	},
	"gitlab-token":   {{"glpat-" + letters[:20], "glpat-" + letters[:20]}},
	"aws-access-key": {{"AKIA" + upper[:16], "AKIA" + upper[:16]}, {"ASIA" + upper[:16], "ASIA" + upper[:16]}},
	"slack-token":    {{"xoxb-" + letters[:24], "xoxb-" + letters[:24]}, {"xapp-1-" + letters[:24], "xapp-1-" + letters[:24]}},
	"slack-webhook":  {{"T00000000/B00000000/" + letters[:24], "https://hooks.slack.com/services/T00000000/B00000000/" + letters[:24]}},
	"google-api-key": {{"AIza" + letters[:35], "AIza" + letters[:35]}},
	"model-api-key":  {{"sk-ant-" + letters[:40], "sk-ant-" + letters[:40]}, {"sk-" + letters[:48], "sk-" + letters[:48]}},
	"jwt":            {{"eyJ" + letters[:20] + "." + letters[:40] + "." + letters[:43], "eyJ" + letters[:20] + "." + letters[:40] + "." + letters[:43]}},
	"authorization":  {{"ya29." + letters[:30], "Authorization: Bearer ya29." + letters[:30]}, {"dXNlcjpwYXNzd29yZA==", "basic dXNlcjpwYXNzd29yZA=="}},
	"private-key": {
		{letters, "-----BEGIN " + "PRIVATE KEY-----\n" + letters + "\n-----END " + "PRIVATE KEY-----"},
		{letters, "-----BEGIN RSA " + "PRIVATE KEY-----\n" + letters + "\n-----END RSA " + "PRIVATE KEY-----"},
		{letters, "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n" + letters},
		{letters, "-----BEGIN PGP " + "PRIVATE KEY BLOCK-----\n" + letters + "\n-----END PGP " + "PRIVATE KEY BLOCK-----"},
	},
	"password": {
		{"open:sesame", "postgres://cart:open:sesame@db.shop:5432/cart?sslmode=disable"},
		{"p[a]s%40s", "dial redis://:p[a]s%40s@cache:6379"},
		{"a@sesame", "amqp://u:a@sesame@mq/"},
		{"open/sesame", "postgres://cart:open/sesame@db.shop:5432/cart"},
		{"open?se#same", "postgres://cart:open?se#same@db.shop/cart?sslmode=disable"},
		{"/sesame", "redis://:/sesame@cache"},
	},
	"secret": {
		{"sesame", "host=db user=cart password=sesame dbname=cart"},
		{"open sesame", "host=db password='open sesame' user=x"},
		{"sesame", "https://example.com/hook?token=sesame&x=1"},
		{"sesame", "PGPASSWORD=sesame pg_dump"},
		{"sesame", `{"user":"x","password": "sesame"}`},
		{`open \"sesame`, `{"client_secret":"open \"sesame"}`},
		{"wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG"},
	},
}

func TestEveryShapeIsMarked(t *testing.T) {
	for name, cases := range planted {
		for _, c := range cases {
			g := NewWithT(t)
			got := redact.Text("before " + c.text + " after")
			g.Expect(got).To(ContainSubstring("[redacted: " + name + "]"))
			g.Expect(got).NotTo(ContainSubstring(c.secret))
			g.Expect(got).To(HavePrefix("before "))
			if name != "private-key" {
				g.Expect(got).To(HaveSuffix(" after"))
			}
		}
	}
}

func TestWhatStandsAroundStays(t *testing.T) {
	g := NewWithT(t)
	for text, want := range map[string]string{
		"postgres://cart:sesame@db.shop:5432/cart": "postgres://cart:[redacted: password]@db.shop:5432/cart",
		"host=db password=sesame dbname=cart":      "host=db password=[redacted: secret] dbname=cart",
		"Authorization: Bearer abcdefgh12345678.":  "Authorization: Bearer [redacted: authorization]",
		`{"token":"sesame","n":1}`:                 `{"token":[redacted: secret],"n":1}`,
	} {
		g.Expect(redact.Text(text)).To(Equal(want))
	}
}

// What people write about credentials, and what looks a little like one.
func TestProseStays(t *testing.T) {
	g := NewWithT(t)
	for _, text := range []string{
		"", "the token: it expired", "password authentication failed for user \"cart\"", "invalid bearer token", "Bearer of bad news",
		"pod cart-6d4cf56db6-x2x9p, container main: CrashLoopBackOff; back-off 5m0s restarting failed container", "http://user@example.com/", "see https://example.com:8443/path?x=1",
		"https://example.com:8443/@team", "http://example.com/a:b/c@d", "oci://registry.example.com:5000/cart@sha256:3f0c6d1a9b2e4f57",
		"image registry.example.com/cart@sha256:3f0c6d1a9b2e4f5708c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f60718293a4b5c6d", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"secretKeyRef: no such key", "risk-based-analysis-of-the-rollout-of-cart", "sequence 3 of 5c0f1e2d-0000-4000-8000-000000000001", `password=""`,
	} {
		g.Expect(redact.Text(text)).To(Equal(text))
	}
}

// Wherever in whatever text a credential stands, it goes, and nothing else breaks.
func TestNoCredentialPasses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		g := NewWithT(rt)
		cases := planted[rapid.SampledFrom(keys()).Draw(rt, "shape")]
		c := rapid.SampledFrom(cases).Draw(rt, "case")
		around := rapid.StringOf(rapid.RuneFrom([]rune("ab\n\t \"'=:;,/.é世\U0001F600{}[]")))
		text := around.Draw(rt, "before") + " " + c.text + rapid.SampledFrom([]string{" ", "\n", ",", ";", ""}).Draw(rt, "separator") + around.Draw(rt, "after")
		got := redact.Text(text)
		g.Expect(got).NotTo(ContainSubstring(c.secret))
		g.Expect(utf8.ValidString(got)).To(BeTrue())
		g.Expect(redact.Text(got)).To(Equal(got), "once is enough")
	})
}

func keys() []string {
	var all []string
	for name := range planted {
		all = append(all, name)
	}
	return all
}

func FuzzText(f *testing.F) {
	for _, cases := range planted {
		for _, c := range cases {
			f.Add(c.text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := redact.Text(text)
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("%q became invalid UTF-8: %q", text, got)
		}
		if again := redact.Text(got); again != got {
			t.Errorf("%q became %q, and that %q", text, got, again)
		}
	})
}
