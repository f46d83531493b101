package browser

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/reportsapi"
	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/postgres"
)

// What all tests share: a browser with usual fonts and one with wide ones, and one service with a month of remediations. They only read.
var (
	chrome, wideChrome context.Context
	site               *service
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	path := browserPath()
	if path == "" {
		fmt.Println("NOT TRIED: the pages in a browser. Chromium is missing (Debian: apt-get install chromium)")
		return 0
	}
	database, err := localcluster.StartPostgres(context.Background(), localcluster.PostgresOptions{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = database.Close() }()
	if site, err = startService(context.Background(), database, "pages", func(t *trail) { t.fill() }); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer site.close()
	hostile, err = startService(context.Background(), database, "hostile", func(t *trail) { t.hostile() })
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer hostile.close()

	var stop, stopWide func()
	if chrome, stop, err = startBrowser(path, usual); err != nil {
		fmt.Fprintln(os.Stderr, "start", path, "failed:", err)
		return 1
	}
	defer stop()
	if wideChrome, stopWide, err = startBrowser(path, wide); err != nil {
		fmt.Fprintln(os.Stderr, "start", path, "failed:", err)
		return 1
	}
	defer stopWide()
	return m.Run()
}

// startBrowser starts one that has these fonts and no other.
func startBrowser(path string, has fonts) (browser context.Context, stop func(), err error) {
	dir, err := os.MkdirTemp("", "holdfast-fonts-")
	if err != nil {
		return nil, nil, err
	}
	config, err := has.write(dir)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.Env("FONTCONFIG_FILE="+config), chromedp.Flag("hide-scrollbars", true), chromedp.Flag("font-render-hinting", "none"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, stopAll := chromedp.NewExecAllocator(context.Background(), options...)
	browser, end := chromedp.NewContext(allocator)
	stop = func() {
		end()
		stopAll()
		_ = os.RemoveAll(dir)
	}
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, nil, err
	}
	return browser, stop, nil
}

func browserPath() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// axeVersion is the one that hack/axe-core fetches.
const axeVersion = "4.14.1"

// axeCore is the text of axe-core. Without it the test is skipped.
func axeCore(t *testing.T) string {
	t.Helper()
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "holdfast", "axe-core", axeVersion, "axe.min.js"))
	if err != nil {
		t.Skip("NOT TRIED: axe-core on the pages. hack/axe-core fetches it, with npm (Debian: apt-get install npm):", err)
	}
	return string(text)
}

// service is a running report service.
type service struct {
	url   string
	ids   map[string]string
	store *postgres.Store
	serve *httptest.Server
}

func (s *service) close() {
	s.serve.Close()
	s.store.Close()
}

const token = "a-token"

// needsToken is an authorizer that knows one token, whose owner may see everything.
type needsToken struct{ reportsapi.NoAuth }

func (needsToken) Authenticate(_ context.Context, bearer string) (string, error) {
	if bearer != token {
		return "", fmt.Errorf("%w: the request has no bearer token", serving.ErrUnauthenticated)
	}
	return "reader", nil
}

func startService(ctx context.Context, database *localcluster.Postgres, name string, write func(*trail)) (*service, error) {
	url, err := database.CreateDatabase(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := migrations.Up(ctx, url, nil); err != nil {
		return nil, err
	}
	store, err := postgres.Open(ctx, url, postgres.Options{Cluster: "east"})
	if err != nil {
		return nil, err
	}
	rows := newTrail()
	write(rows)
	if err := rows.persist(ctx, store); err != nil {
		return nil, err
	}
	server, err := reportsapi.New(reportsapi.Config{Store: store, Authorizer: needsToken{}, Limits: reportsapi.Limits{RequestsPerSecond: 1e6, Burst: 1e6}, Now: func() time.Time { return now }})
	if err != nil {
		return nil, err
	}
	listening := httptest.NewUnstartedServer(nil)
	listening.Config = server.HTTPServer(server.Handler(), nil)
	listening.Start()
	return &service{url: listening.URL, ids: rows.ids, store: store, serve: listening}, nil
}
