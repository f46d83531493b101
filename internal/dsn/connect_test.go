//go:build unix

package dsn

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv/secrets"
)

// passwords that URLs, shells, files and PostgreSQL treat in ways of their own.
var passwords = map[string]string{
	"printable":       " !\"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~ ",
	"a URL":           "postgres://me:sesame@elsewhere.invalid/db?sslmode=disable",
	"keywords":        "x host=elsewhere.invalid password='sesame'",
	"escapes":         "%40%2F%3F%23%00%zz%",
	"other alphabets": "pä世ß\U0001F600",
	"control":         "se\nsa\tme\x7f",
	"an @":            "a@b",
	"plus":            "a+b c",
}

// login makes a role with that password in the real server, and returns its name.
func login(t *testing.T, postgres *localcluster.Postgres, number int, password string) string {
	t.Helper()
	g := NewWithT(t)
	c, err := pgx.Connect(t.Context(), postgres.URL())
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(context.Background())
	name := fmt.Sprintf("login_%d", number)
	_, err = c.Exec(t.Context(), "CREATE ROLE "+name+" LOGIN PASSWORD "+literal(password))
	g.Expect(err).NotTo(HaveOccurred())
	return name
}

func literal(text string) string {
	return " E'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// keyword quotes a value as libpq wants it.
func keyword(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func TestEveryPasswordConnects(t *testing.T) {
	unset(t)
	g := NewWithT(t)
	postgres, err := localcluster.StartPostgres(t.Context(), localcluster.PostgresOptions{})
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { g.Expect(postgres.Close()).To(Succeed()) })
	direct, err := url.Parse(postgres.URL())
	g.Expect(err).NotTo(HaveOccurred())
	host, port := direct.Hostname(), direct.Port()
	socket := socketTo(t, direct.Host)

	number := 0
	for what, password := range passwords {
		number++
		user := login(t, postgres, number, password)
		escaped := url.PathEscape(password)
		escaped = strings.NewReplacer("@", "%40", ":", "%3A", "&", "%26", "=", "%3D", "+", "%2B").Replace(escaped)
		urls := map[string]string{
			"in the URL":         "postgres://" + user + ":" + escaped + "@" + direct.Host + "/holdfast?sslmode=disable",
			"with spaces around": " \n\tpostgres://" + user + ":" + escaped + "@" + direct.Host + "/holdfast?sslmode=disable\r\n",
			"of two hosts":       "postgresql://" + user + ":" + escaped + "@127.0.0.1:1,localhost:" + port + "/holdfast?sslmode=disable",
			"in the query":       "postgres://" + user + "@" + direct.Host + "/holdfast?sslmode=disable&password=" + escaped + "&application_name=test",
			"over a socket":      "postgres://" + user + ":" + escaped + "@/holdfast?host=" + url.QueryEscape(socket),
			"a socket as host":   "postgres://" + user + ":" + escaped + "@" + url.QueryEscape(socket) + "/holdfast",
		}
		if !strings.ContainsAny(password, "\n\t\x7f") {
			urls["as a keyword"] = "host=" + host + " port=" + port + " user=" + user + " dbname=holdfast sslmode=disable password = " + keyword(password)
		}
		for where, text := range urls {
			t.Run(what+" "+where, func(t *testing.T) { connects(t, text, user, password) })
		}
		if strings.ContainsAny(password, "\n\t\x7f") {
			continue
		}
		bare := "postgres://" + user + "@" + direct.Host + "/holdfast?sslmode=disable"
		t.Run(what+" in PGPASSWORD", func(t *testing.T) {
			t.Setenv("PGPASSWORD", password+"\n")
			connects(t, bare, user, password)
		})
		if strings.TrimSpace(password) == password { // neither file can hold others
			t.Run(what+" in the service file", func(t *testing.T) {
				file(t, "PGSERVICEFILE", "[audit]\nhost="+host+"\nport="+port+"\ndbname=holdfast\nsslmode=disable\nuser="+user+"\npassword="+password+"\n")
				connects(t, "service=audit", user, password)
				connects(t, "postgres:///?service=audit", user, password)
			})
			t.Run(what+" in the password file", func(t *testing.T) {
				file(t, "PGPASSFILE", "*:*:*:"+user+":"+strings.NewReplacer(`\`, `\\`, ":", `\:`).Replace(password)+"\n")
				connects(t, bare, user, password)
			})
		}
	}
	t.Run("a wrong one is not said", func(t *testing.T) {
		config, err := Parse("postgres://login_1:" + url.QueryEscape("wrong-sesame") + "@" + direct.Host + "/holdfast")
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		_, err = pgx.ConnectConfig(t.Context(), config.ConnConfig)
		NewWithT(t).Expect(Explain(err)).To(MatchError(And(ContainSubstring(`password authentication failed for user "login_1"`), ContainSubstring("check user and password"), Not(ContainSubstring("sesame")))))
	})
}

// connects as the user, with that password, and nowhere else.
func connects(t *testing.T, text, user, password string) {
	t.Helper()
	g := NewWithT(t)
	config, err := Parse(text)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(config.ConnConfig.Password).To(Equal(password))
	c, err := pgx.ConnectConfig(t.Context(), config.ConnConfig)
	g.Expect(err).NotTo(HaveOccurred())
	defer c.Close(context.Background())
	var name string
	g.Expect(c.QueryRow(t.Context(), "SELECT current_user").Scan(&name)).To(Succeed())
	g.Expect(name).To(Equal(user))
}

func file(t *testing.T, variable, content string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	NewWithT(t).Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
	t.Setenv(variable, path)
}

// socketTo makes a socket, as PostgreSQL names it, that leads to the server, and returns its folder.
func socketTo(t *testing.T, address string) string {
	t.Helper()
	g := NewWithT(t)
	folder := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(folder, ".s.PGSQL.5432"))
	g.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", address)
			if err != nil {
				_ = near.Close()
				return
			}
			go func() { _, _ = io.Copy(far, near); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, far); _ = near.Close() }()
		}
	}()
	return folder
}

// What an @ or a blank in the password makes of a URL is refused, with what to write instead, before anybody is asked for it.
func TestAmbiguousURLsAreRefusedWithAdvice(t *testing.T) {
	unset(t)
	for text, says := range map[string]string{
		"postgres://u:a@b@host/db":                      "an extra @",
		"postgres://u:pa/s@s@host/db":                   "an extra @",
		"postgres://u:12/34@host/db":                    "@ as %40, / as %2F",
		"postgres://u:12?34@host/db":                    "? as %3F",
		"postgres://u:12#34@host/db":                    "# as %23",
		"postgres://u@host/db#x":                        "it contains a #",
		"postgres://u@host?password=a@b":                "an extra @",
		"postgres://u:a b@host/db":                      "a blank as %20",
		"postgres://u: a@host/db":                       "a blank as %20",
		"postgres://u:a%b@host/db":                      "% as %25",
		"postgres://u:a%00@host/db":                     "NUL",
		"postgres://u:a\nb@host/db":                     "a newline, a NUL or another control character",
		"postgres://u:a\x00b@host/db":                   "control character",
		"postgres://u:pw@/db":                           "the host is missing",
		"postgres:///db":                                "?host=/directory for a socket",
		"postgres://u:pw@h1,,h2/db":                     "the host is missing",
		"postgres://u:pw@host:port/db":                  "from 1 to 65535",
		"postgres://u:pw@host:0/db":                     "from 1 to 65535",
		"postgres://u:pw@ho*st/db":                      "expected a name such as db.example.com",
		"postgres://u:pw@[::1/db":                       "for example [::1]",
		"postgres://u@host/db?password=a&b=c":           "& in the password as %26",
		"postgres://u@host/db?password=a=b":             "%3D",
		"host=h user=u password=a b":                    "password='…'",
		"host=h user=u password=a b=c":                  "password='…'",
		"host=h user=u password=a host=b":               "each name once",
		"user=u password=a host=postgres://u:p@host/db": "expected a name such as",
		"user=u host=h dbname='host=h password=sesame'": "expected only a name",
	} {
		t.Run(text, func(t *testing.T) {
			g := NewWithT(t)
			_, err := Parse(text)
			g.Expect(err).To(MatchError(ErrInvalid))
			g.Expect(err).To(MatchError(And(ContainSubstring("HOLDFAST_DATABASE_URL"), ContainSubstring(says), ContainSubstring("expected"))))
		})
	}
}

// A password of PGPASSWORD or a file has been made by echo, or by hand.
func TestAPasswordFromElsewhere(t *testing.T) {
	unset(t)
	for _, middle := range []string{"XQZ\nZQX", "XQZ\tZQX", "\x01XQZZ"} {
		t.Setenv("PGPASSWORD", middle)
		_, err := Parse("postgres://u@host/db")
		g := NewWithT(t)
		g.Expect(err).To(MatchError(ErrInvalid))
		g.Expect(err).To(MatchError(ContainSubstring("PGPASSWORD contains a newline or another control character")))
		g.Expect(secrets.Leak(err.Error(), middle)).To(BeEmpty())
	}
}
