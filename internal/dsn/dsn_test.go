package dsn

import (
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	g := NewWithT(t)
	config, err := Parse("postgres://me:secret@db.example.com:6543/audit?sslmode=disable&connect_timeout=9")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.ConnConfig.Host).To(Equal("db.example.com"))
	g.Expect(config.ConnConfig.Port).To(BeEquivalentTo(6543))
	g.Expect(config.ConnConfig.ConnectTimeout.Seconds()).To(BeEquivalentTo(9))
	g.Expect(config.ConnConfig.RuntimeParams).To(HaveKeyWithValue("timezone", "UTC"))
}

func TestAWrongURLSaysWhatIsExpectedButNotThePassword(t *testing.T) {
	for _, url := range []string{
		"", "   ", "mysql://me:sesame@host/db", "https://me:sesame@host",
		"postgres://me:ses%zzame@host/db", "postgres://me:sesame@host:port/db", "postgres://me:sesame@host:99999/db",
		"postgres://me:ses/ame@host/db", "postgres://me:ses/sesame@host:5432/db", "postgres://me:sesame@[::1/db", "postgres://me:ses ame@host/db",
		"postgres://me:sesame@host/db?sslmode=sesame", "postgres://me:sesame@host/db?connect_timeout=sesame",
		"host=h password=sesame port=x", "host=h password='sesame", "password = 'se\"sesame' port='y'", "sesame",
	} {
		t.Run(url, func(t *testing.T) {
			g := NewWithT(t)
			_, err := Parse(url)
			g.Expect(err).To(MatchError(ErrInvalid))
			g.Expect(err).To(MatchError(ContainSubstring("expected postgres://user:password@host")))
			g.Expect(err).NotTo(MatchError(ContainSubstring("ses")))
		})
	}
}

func TestNoURLThatFailsLeaksItsPassword(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noise := rapid.StringMatching("[ -~]{0,6}")
		before, after := noise.Draw(t, "before"), noise.Draw(t, "after")
		url := rapid.SampledFrom([]string{
			"postgres://me:" + before + "SESAME" + after + "@host:x/db",
			"postgres://me" + before + ":SESAME@" + after + "host/db?sslmode=verify-everything",
			"host=h port=x password=" + before + "SESAME" + after,
			"password='" + before + "SESAME" + after + "' port=x",
		}).Draw(t, "url")
		if _, err := Parse(url); err != nil {
			NewWithT(t).Expect(err.Error()).NotTo(ContainSubstring("SESAME"), url)
		}
	})
}

func TestExplain(t *testing.T) {
	g := NewWithT(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	g.Expect(err).NotTo(HaveOccurred())
	address := listener.Addr().String()
	g.Expect(listener.Close()).To(Succeed())
	_, err = pgx.Connect(t.Context(), "postgres://me:sesame@"+address+"/db?sslmode=disable")
	g.Expect(Explain(err)).To(MatchError(And(ContainSubstring(address), ContainSubstring("check host and port"), Not(ContainSubstring("sesame")))))
	g.Expect(Explain(nil)).To(Succeed())
}
