//go:build unix

package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// outsiders are records of programs that have no resources: what each kind must have, beside the id and the remediation.
var outsiders = []struct {
	kind, path, table string
	times             []string
	more              map[string]any
}{
	{"orchestration", "/api/v1/audit/orchestration", "orchestration_audit", []string{"signal_received_at", "remediation_created_at"}, map[string]any{"signal_fingerprint": "c1f2a3b4d5e6f708"}},
	{"ai-decision", "/api/v1/audit/ai-decisions", "ai_analysis_audit", []string{"investigation_started_at"}, map[string]any{"root_cause": "The disk of the build host is full."}},
	{"execution", "/api/v1/audit/executions", "workflow_execution_audit", []string{"execution_started_at"}, map[string]any{"workflow_id": "clean-disk"}},
	{"notification", "/api/v1/audit/notifications", "notification_audit", []string{"notification_requested_at"}, map[string]any{"channels": []string{"console"}}},
}

// Posted is what became of a record that was sent twice.
type Posted struct {
	Kind   string `json:"kind"`
	First  string `json:"firstAnswer"`
	Second string `json:"secondAnswer"`
	Rows   int    `json:"rowsFound"`
}

// outside posts a record of each kind to the Data Storage API, twice, as a caller does whose answer was lost.
func (d *demo) outside(ctx context.Context) error {
	d.heading("9  Programs without resources post records over REST", "The Data Storage API gets one record of each kind, then the same again, as after a lost response.")
	d.say("POST to %s, with a Kubernetes token", d.stack.StorageURL)
	table := [][]string{{"kind", "first answer", "second answer", " rows found"}}
	for _, o := range outsiders {
		remediation := "outside/" + uuid.NewString()
		record := map[string]any{"id": uuid.NewString(), "remediation_id": remediation}
		for _, name := range o.times {
			record[name] = time.Now().UTC()
		}
		maps.Copy(record, o.more)
		p := Posted{Kind: o.kind}
		for _, answer := range []*string{&p.First, &p.Second} {
			var err error
			if *answer, err = d.post(ctx, o.path, record); err != nil {
				return fmt.Errorf("post a record to %s: %w", o.path, err)
			}
		}
		var err error
		if p.Rows, err = d.ledger.posted(ctx, o.table, remediation); err != nil {
			return err
		}
		table = append(table, []string{p.Kind, p.First, p.Second, strconv.Itoa(p.Rows)})
		d.summary.Posted = append(d.summary.Posted, p)
	}
	d.print("\n")
	d.table(table)
	for _, p := range d.summary.Posted {
		if want := (Posted{p.Kind, "201 stored", "200 present", 1}); p != want {
			return fmt.Errorf("a posted %s: %q, %q, %d rows; expected %q, %q, %d row", p.Kind, p.First, p.Second, p.Rows, want.First, want.Second, want.Rows)
		}
	}
	return nil
}

// post sends a record and returns the answer's status, in numbers and as the receipt has it.
func (d *demo) post(ctx context.Context, path string, record map[string]any) (string, error) {
	body, err := json.Marshal(record)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.stack.StorageURL+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+d.stack.StorageToken)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return "", err
	}
	var receipt struct{ Status string }
	if answer.StatusCode >= http.StatusBadRequest {
		return "", fmt.Errorf("%s: %s", answer.Status, bytes.TrimSpace(text))
	}
	if err := json.Unmarshal(text, &receipt); err != nil {
		return "", fmt.Errorf("%s: %s: %w", answer.Status, bytes.TrimSpace(text), err)
	}
	return strconv.Itoa(answer.StatusCode) + " " + receipt.Status, nil
}

// posted counts the rows of a remediation that no resource had.
func (l ledger) posted(ctx context.Context, table, remediation string) (n int, err error) {
	err = l.query(ctx, "SELECT count(*) FROM "+table+" WHERE source_uid IS NULL AND remediation_id = $1", []any{remediation}, func(r pgx.Rows) error { return r.Scan(&n) })
	return n, err
}
