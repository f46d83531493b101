//go:build unix

package dev

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/reportsapi"
)

const (
	// reader is the ServiceAccount whose token HOLDFAST_REPORTS_TOKEN is.
	reader = "holdfast-dev-reader"
	// readerLogin is the service's login in the database.
	readerLogin = "holdfast_dev_reports"
)

// StartReports starts the Report API and returns when it is ready. It is plain HTTP, as the storage service is, and its database login may only read.
func (s *Stack) StartReports(ctx context.Context) error {
	database, err := s.Postgres.CreateLogin(ctx, readerLogin, "holdfast_reader")
	if err != nil {
		return fmt.Errorf("make the database login of the report service: %w", err)
	}
	if s.ReportsToken, err = s.makeCaller(ctx, reader, "holdfast-report-viewer", reportsapi.DefaultAudience); err != nil {
		return fmt.Errorf("make a caller for the report service: %w", err)
	}
	if err := s.bind(ctx, reader+"-narrator", "holdfast-report-narrator", reader); err != nil {
		return fmt.Errorf("let the caller of the report service narrate: %w", err)
	}
	address, err := localcluster.FreeAddress()
	if err != nil {
		return err
	}
	begin := time.Now()
	s.reports, err = localcluster.StartProgram(ctx, localcluster.Program{
		Name: "reports",
		Path: s.options.Program,
		Args: append([]string{"reports", "--insecure-http", "--bind-address", address}, s.narrator()...),
		Env:  []string{"KUBECONFIG=" + s.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL=" + database, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()},
		Log:  filepath.Join(s.Dir, "logs", "reports.log"),
		Ready: func(ctx context.Context) error {
			if err := localcluster.Answers("http://" + address + "/readyz")(ctx); err != nil {
				return err
			}
			return s.mayRead(ctx, "http://"+address)
		},
	})
	if err != nil {
		return err
	}
	s.ReportsURL = "http://" + address
	fmt.Fprintf(s.options.Progress, "reports: ready after %s, pages at %s/ (with the token), described at %s/docs\n", time.Since(begin).Round(100*time.Millisecond), s.ReportsURL, s.ReportsURL)
	return nil
}

// narrator are the flags of the language model, if there is one.
func (s *Stack) narrator() []string {
	o := &s.options
	if o.NarratorURL == "" {
		return nil
	}
	return []string{"--narrator-url=" + o.NarratorURL, "--narrator-model=" + o.NarratorModel, "--narrator-token-file=" + o.NarratorTokenFile}
}

// mayRead waits until the API server's authorizer knows of the role: only whoever may read in all namespaces may ask for a kind that is in none, and finds nothing.
func (s *Stack) mayRead(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/api/v2/resources?name=none", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.ReportsToken)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("reading as %s was answered %s", reader, answer.Status)
	}
	return nil
}
