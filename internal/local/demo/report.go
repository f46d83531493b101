//go:build unix

package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
	"github.com/holdfast-dev/holdfast/rar"
)

// told is the workload whose report the demo shows: a person decided, and it was repaired.
const told = "checkout"

// report shows what an engineer reads the morning after, and leaves it as a file.
func (d *demo) report(ctx context.Context) error {
	d.heading("12 Report: what happened to "+told, "The report service reads the rows only. Its database login cannot write.")
	c, err := reportsclient.New(d.stack.ReportsURL, reportsclient.Options{Token: d.stack.ReportsToken, UserAgent: "holdfast-demo"})
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	page, err := c.List(ctx, url.Values{"view": {"summary"}, "q": {told}, "outcome": {"remediated"}, "start": {now.AddDate(0, 0, -1).Format(time.RFC3339)}, "end": {now.AddDate(0, 0, 1).Format(time.RFC3339)}})
	if err != nil {
		return err
	}
	if len(page.Items) == 0 {
		return errors.New("the report service lists no remediation of " + told)
	}
	var summary struct {
		RemediationID string `json:"remediation_id"`
	}
	if err := json.Unmarshal(page.Items[0], &summary); err != nil {
		return fmt.Errorf("read the list of the report service: %w", err)
	}
	text, err := c.Report(ctx, summary.RemediationID, url.Values{"format": {"md"}})
	if err != nil {
		return err
	}
	d.print(reportsclient.Terminal(string(text), func(heading string) string { return d.paint(bold, heading) }))
	html, err := c.Report(ctx, summary.RemediationID, url.Values{"format": {"html"}})
	if err != nil {
		return err
	}
	path := filepath.Join(d.reportDir, "holdfast-report.html")
	if err := os.WriteFile(path, html, 0o600); err != nil {
		return fmt.Errorf("write the report file: %w", err)
	}
	d.print("\n   The same report as a page: " + path + "\n")
	return d.trends(ctx, c)
}

// trends says in a few sentences what the remediations of the demo show together.
func (d *demo) trends(ctx context.Context, c *reportsclient.Client) error {
	now := time.Now().UTC()
	text, err := c.Trends(ctx, url.Values{"format": {"json"}, "start": {now.AddDate(0, 0, -1).Format(time.RFC3339)}, "end": {now.AddDate(0, 0, 1).Format(time.RFC3339)}})
	if err != nil {
		return err
	}
	trends := &rar.Trends{}
	if err := json.Unmarshal(text, trends); err != nil {
		return fmt.Errorf("read the trends of the report service: %w", err)
	}
	d.print("\n   " + d.paint(bold, "What all of them show together (holdfast rar trends)") + "\n")
	for _, s := range trends.Brief() {
		d.print("   " + reportsclient.Printable(s.Text) + "\n")
	}
	return nil
}

// reportDirOf is where the report stays: the user's own folder, else the one for temporary files.
func reportDirOf(stateDir string) string {
	if stateDir != "" {
		return stateDir
	}
	return os.TempDir()
}
