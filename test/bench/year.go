package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/postgres"
)

// year is a database with a year of remediations, and a service that reads it.
type year struct {
	*bench
	url     string
	control *pgx.Conn
	service *process
	caller  *caller
	// postmaster is the server's process, if it is on this machine; else 0.
	postmaster int
	// ids are remediations from all over the year but its first month, so that there is something to compare them with.
	ids []string
}

// newYear fills a database, unless it has rows from an earlier run.
func newYear(ctx context.Context, b *bench) (_ *year, err error) {
	y := &year{bench: b, url: b.database}
	if y.url == "" {
		if y.full { // the default of 128 MB is not for a database of 24 GB
			if err := b.withMemory(ctx); err != nil {
				return nil, err
			}
		}
		if y.url, err = b.newDatabase(ctx); err != nil {
			return nil, err
		}
	}
	if y.control, err = pgx.Connect(ctx, y.url); err != nil {
		return nil, err
	}
	var buffers float64 // pages of 8 KiB
	if err := y.control.QueryRow(ctx, "SELECT setting::double precision / 128 FROM pg_settings WHERE name = 'shared_buffers'").Scan(&buffers); err != nil {
		return nil, err
	}
	y.report.add(reportsMeasure, "shared_buffers of PostgreSQL", "MiB", "", buffers)
	// Whoever may not read it, or has the server elsewhere, gets no CPU time of the database.
	_ = y.control.QueryRow(ctx, "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)::integer").Scan(&y.postmaster)
	filled := false
	if err := y.control.QueryRow(ctx, "SELECT EXISTS (SELECT FROM orchestration_audit)").Scan(&filled); err != nil {
		return nil, err
	}
	if !filled {
		if err := y.fill(ctx); err != nil {
			return nil, err
		}
	}
	rows, err := y.control.Query(ctx, `SELECT r.remediation_id FROM generate_series(1, $1::integer) AS n CROSS JOIN LATERAL (SELECT f.remediation_id FROM orchestration_audit AS f
		WHERE (f.sequence = 1 OR f.sequence IS NULL) AND f.signal_received_at >= $2::timestamptz - interval '330 days' + n * interval '322 days' / $1 ORDER BY f.signal_received_at, f.id LIMIT 1) AS r`,
		b.size(300), historyEnd)
	if err != nil {
		return nil, err
	}
	y.ids, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return y, err
}

// withMemory gives PostgreSQL shared buffers of 4 GB: a quarter of the memory of a small server, as its manual says.
func (b *bench) withMemory(ctx context.Context) error {
	c, err := pgx.Connect(ctx, b.env.Postgres.URL())
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, "ALTER SYSTEM SET shared_buffers = '4GB'") // which needs a restart
	if err := errors.Join(err, c.Close(ctx), b.env.Postgres.Stop(ctx)); err != nil {
		return err
	}
	return b.env.Postgres.Start(ctx)
}

func (y *year) fill(ctx context.Context) error {
	s, err := postgres.Open(ctx, y.url, postgres.Options{StatementTimeout: 10 * time.Minute})
	if err != nil {
		return err
	}
	defer s.Close()
	rows := y.size(1_000_000)
	if y.full {
		rows = 10_000_000
	}
	if y.rows > 0 {
		rows = y.rows
	}
	begin := time.Now()
	h, err := fillHistory(ctx, s, rows)
	if err != nil {
		return err
	}
	y.report.add(reportsMeasure, "rows that are there", "", "", float64(h.rows))
	y.report.add(reportsMeasure, "remediations that these are of", "", "", float64(h.remediations))
	y.report.add(reportsMeasure, "writing them, with chains and hashes", "s", "", time.Since(begin).Seconds())
	return nil
}

func (y *year) close(ctx context.Context) { _ = y.control.Close(ctx) }

// startReports runs `holdfast reports`, which lets everybody read everything.
func (b *bench) startReports(ctx context.Context, database string) (p *process, address string, _ error) {
	address, err := localcluster.FreeAddress()
	if err != nil {
		return nil, "", err
	}
	p, err = b.start(ctx, []string{"HOLDFAST_DATABASE_URL=" + database}, "http://"+address+"/readyz", "http://"+address+"/metrics", "reports", "--insecure-no-auth", "--insecure-http",
		"--bind-address", address, "--caller-requests-per-second", "1000000", "--caller-burst", "1000000", "--log-level", "error")
	return p, "http://" + address, err
}

// caller asks the service.
type caller struct {
	url  string
	http *http.Client
}

func (c *caller) get(ctx context.Context, path, accept string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", accept)
	return c.http.Do(r)
}

// read is the body of an answer that must be 200.
func (c *caller) read(ctx context.Context, path, accept string) ([]byte, error) {
	answer, err := c.get(ctx, path, accept)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("the reports service answered %d to %s: %.300s", answer.StatusCode, path, text)
	}
	return text, err
}

// spent is CPU time in seconds: of the service, and of the database.
func (y *year) spent() (service, database float64) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		s, ok := readStat(path)
		switch {
		case !ok || y.postmaster == 0:
		case s.pid == y.postmaster:
			database += s.processor + s.waitedOn
		case s.parent == y.postmaster:
			database += s.processor
		}
	}
	return y.service.processor(), database
}

// cost runs something n times, and adds what one of them takes of the processors: that depends little on what else the machine does.
func (y *year) cost(what string, n int, run func() error) error {
	service, database := y.spent()
	if err := run(); err != nil {
		return err
	}
	serviceAfter, databaseAfter := y.spent()
	y.report.add(reportsMeasure, what+": the service's CPU", "ms", "", 1000*(serviceAfter-service)/float64(n))
	y.report.add(reportsMeasure, what+": the database's CPU", "ms", "", 1000*(databaseAfter-database)/float64(n))
	return nil
}
