//go:build failpoint

package postgres

import (
	"context"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-dev/holdfast/internal/failpoint"
)

// failpoints makes a boundary of each statement.
func failpoints(c *pgxpool.Config) { c.ConnConfig.Tracer = boundaries{} }

type boundaries struct{}

type statementKey struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (boundaries) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	name := boundaryOf(data.SQL)
	if name != "" {
		failpoint.Before(name)
	}
	return context.WithValue(ctx, statementKey{}, name)
}

// TraceQueryEnd implements pgx.QueryTracer. The rows have been read by now.
func (boundaries) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryEndData) {
	if name, _ := ctx.Value(statementKey{}).(string); name != "" {
		failpoint.After(name)
	}
}

// TraceBatchStart implements pgx.BatchTracer. The statements of a batch travel together: all their boundaries lie before the first of them is sent.
func (boundaries) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	for _, q := range data.Batch.QueuedQueries {
		if name := boundaryOf(q.SQL); name != "" {
			failpoint.Before(name)
		}
	}
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (boundaries) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if name := boundaryOf(data.SQL); name != "" && data.Err == nil {
		failpoint.After(name)
	}
}

// TraceBatchEnd implements pgx.BatchTracer.
func (boundaries) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

var leading = regexp.MustCompile(`^(insert into \S+|update \S+|select set_config|select pg_logical_emit_message|select .*?\bfrom [a-z_."]+|select|begin|commit|rollback to savepoint|rollback|savepoint|release savepoint)\b`)

// boundaryOf is what a statement does, and to which table: its leading words. It is empty for a ping.
func boundaryOf(sql string) string {
	name := leading.FindString(strings.ToLower(strings.Join(strings.Fields(sql), " ")))
	if verb, table, ok := strings.Cut(name, " from "); ok {
		verb, _, _ = strings.Cut(verb, " ")
		return verb + " from " + strings.Trim(table, `"`)
	}
	return strings.ReplaceAll(name, `"`, "")
}
