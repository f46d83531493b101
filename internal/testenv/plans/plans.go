// Package plans is for tests and benchmarks of what queries cost: it records the statements that a store sends, and asks the server for the plan of each. Buffers are the same on a busy machine.
package plans

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// Statement is a query with its arguments.
type Statement struct {
	SQL       string
	Arguments []any
	// Kept is true if the session keeps its plan, which is made for any arguments.
	Kept bool
}

// Recorder records the statements that read audit tables. Give it to postgres.Options as Tracer.
type Recorder struct {
	mu         sync.Mutex
	statements []Statement
}

var (
	_ pgx.QueryTracer = (*Recorder)(nil)
	_ pgx.BatchTracer = (*Recorder)(nil)
)

// TraceQueryStart implements pgx.QueryTracer.
func (r *Recorder) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	r.add(data.SQL, data.Args, false)
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (r *Recorder) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// TraceBatchStart implements pgx.BatchTracer.
func (r *Recorder) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

// TraceBatchQuery implements pgx.BatchTracer.
func (r *Recorder) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	r.add(data.SQL, data.Args, true)
}

// TraceBatchEnd implements pgx.BatchTracer.
func (r *Recorder) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

var auditTable = regexp.MustCompile(`_audit\b|\baudit_`)

func (r *Recorder) add(sql string, arguments []any, kept bool) {
	if !auditTable.MatchString(sql) {
		return
	}
	for len(arguments) > 0 { // what comes first may be how to run it
		if _, ok := arguments[0].(pgx.QueryExecMode); !ok {
			break
		}
		arguments = arguments[1:]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statements = append(r.statements, Statement{sql, slices.Clone(arguments), kept})
}

// Take returns what was recorded since the last time.
func (r *Recorder) Take() []Statement {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := r.statements
	r.statements = nil
	return all
}

// Plan is what the server did for some statements, the second time that they ran.
type Plan struct {
	// Buffers are pages that were looked at, in memory or not.
	Buffers int
	// Scanned are audit tables that were read from end to end.
	Scanned []string
	// Fetched are rows that index-only scans had to look at after all.
	Fetched int
	// Milliseconds are those of planning and of execution.
	Planning, Execution float64
}

// node is one of EXPLAIN (FORMAT JSON).
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Hit      int     `json:"Shared Hit Blocks"`
	Read     int     `json:"Shared Read Blocks"`
	Fetched  float64 `json:"Heap Fetches"`
	Plans    []node
}

// Explain adds up the plans of some statements. The session gets the settings of a snapshot that decide on plans.
func Explain(ctx context.Context, c *pgx.Conn, statements ...Statement) (Plan, error) {
	var sum Plan
	if _, err := c.Exec(ctx, "SET enable_seqscan = off; SET jit = off; SET plan_cache_mode = auto"); err != nil {
		return sum, err
	}
	for _, s := range statements {
		text, err := s.explain(ctx, c)
		if err != nil {
			return sum, fmt.Errorf("explain %.60s: %w", strings.TrimSpace(s.SQL), err)
		}
		var answer []struct {
			Plan      node
			Planning  float64 `json:"Planning Time"`
			Execution float64 `json:"Execution Time"`
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			return sum, fmt.Errorf("read a plan: %w", err)
		}
		for _, a := range answer {
			sum.Buffers += a.Plan.Hit + a.Plan.Read
			sum.Planning += a.Planning
			sum.Execution += a.Execution
			sum.walk(&a.Plan)
		}
	}
	return sum, nil
}

// explain returns the plan of the second time.
func (s *Statement) explain(ctx context.Context, c *pgx.Conn) (text []byte, err error) {
	const explained = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) "
	sql, mode := explained+s.SQL, pgx.QueryExecModeCacheDescribe
	if s.Kept {
		if _, err := c.Exec(ctx, "SET plan_cache_mode = force_generic_plan"); err != nil {
			return nil, err
		}
		if _, err := c.Exec(ctx, "PREPARE explained AS "+s.SQL, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, err
		}
		places := make([]string, len(s.Arguments))
		for i := range places {
			places[i] = fmt.Sprintf("$%d", i+1)
		}
		// EXECUTE takes no parameters, so the driver writes the arguments into the text.
		sql, mode = explained+"EXECUTE explained("+strings.Join(places, ", ")+")", pgx.QueryExecModeSimpleProtocol
		defer func() {
			if _, failed := c.Exec(ctx, "DEALLOCATE explained; SET plan_cache_mode = auto"); err == nil {
				err = failed
			}
		}()
	}
	for range 2 {
		if err := c.QueryRow(ctx, sql, append([]any{mode}, s.Arguments...)...).Scan(&text); err != nil {
			return nil, err
		}
	}
	return text, nil
}

func (p *Plan) walk(n *node) {
	if n.Type == "Seq Scan" && auditTable.MatchString(n.Relation) {
		p.Scanned = append(p.Scanned, n.Relation)
	}
	p.Fetched += int(n.Fetched)
	for i := range n.Plans {
		p.walk(&n.Plans[i])
	}
}
