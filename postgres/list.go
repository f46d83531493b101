package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

func timeOf(t time.Time) outboxapi.Time { return outboxapi.NewTime(t) }

// List selects remediations. What is empty does not count.
type List struct {
	// Start and End are the window, half-open, of the signal's time, or of completion with Completed.
	Start, End time.Time
	Completed  bool
	// Namespaces are those that are asked for.
	Namespaces               []string
	Outcome, Alert, Workflow string
	// Prefix of the name, the fingerprint or the remediation id.
	Prefix string
	// After is the last row of the page before; nil for the first page.
	After *ListPlace
	Limit int
}

// ListPlace is a place in a list: newest first, by time and id.
type ListPlace struct {
	At time.Time `json:"t"`
	ID string    `json:"i"`
}

// Summary is a row of a list: what a remediation is, as far as it has come.
type Summary struct {
	ID                   string          `db:"id"`
	RemediationID        string          `db:"remediation_id"`
	SourceCluster        string          `db:"source_cluster"`
	SourceNamespace      string          `db:"source_namespace"`
	SourceName           string          `db:"source_name"`
	SourceUID            string          `db:"source_uid"`
	AlertName            string          `db:"alert_name"`
	Severity             string          `db:"severity"`
	Target               json.RawMessage `db:"target"`
	SignalReceivedAt     outboxapi.Time  `db:"signal_received_at"`
	Newest               string          `db:"newest"`
	Phase                string          `db:"phase"`
	Outcome              string          `db:"outcome"`
	CompletedAt          *outboxapi.Time `db:"completed_at"`
	TotalDurationSeconds *int64          `db:"total_duration_seconds"`
	BottleneckPhase      string          `db:"bottleneck_phase"`
}

// Place of the row in its list.
func (s *Summary) Place(completed bool) ListPlace {
	if completed && s.CompletedAt != nil {
		return ListPlace{s.CompletedAt.Time, s.ID}
	}
	return ListPlace{s.SignalReceivedAt.Time, s.ID}
}

// greatestID comes after every id.
const greatestID = "ffffffff-ffff-ffff-ffff-ffffffffffff"

// List reads a page. Each question has its file, and its index; further filters are conditions on top of it.
func (q *Snapshot) List(ctx context.Context, l List) ([]Summary, error) {
	b := &listing{List: l, readable: &q.readable}
	if l.Workflow != "" && q.readable.Everything {
		return q.listWorkflow(ctx, b)
	}
	return q.page(ctx, b)
}

func (q *Snapshot) page(ctx context.Context, b *listing) ([]Summary, error) {
	text, arguments := b.compose()
	return collect[Summary](q.run(ctx, text, arguments)) // restricted by compose
}

// listing composes the query of a list.
type listing struct {
	List
	readable *Readable
	// of are the remediations that may have run the workflow; nil if these are too many, or not known. With along the list is read in its order, and of is what counts of it; else the list starts from of.
	of        []string
	along     bool
	arguments []any
	more      []string
}

// compose takes the file of the filter that selects most, and adds the others. A reader who may not see everything is always asked by namespace.
func (b *listing) compose() (text string, arguments []any) {
	file, after := "list_received", ListPlace{b.End, greatestID}
	if b.Completed {
		file = "list_completed"
	}
	if b.After != nil {
		after = *b.After
	}
	b.arguments = []any{b.Start, b.End, after.At, after.ID, b.Limit}
	switch namespaces, some := b.namespaces(); {
	case some:
		file += "_namespaces"
		b.arguments = append(b.arguments, namespaces)
		if !b.readable.Everything {
			_, times := b.readable.only(namespaces)
			b.arguments = append(b.arguments, times, b.readable.Cluster)
			b.more = append(b.more, visible("f", 6, 7))
		}
		b.filter(b.outcome, b.alert, b.workflow, b.prefix)
	case b.Prefix != "":
		file += "_q"
		b.arguments = append(b.arguments, b.Prefix, b.Prefix+"\U0010ffff")
		b.filter(b.outcome, b.alert, b.workflow)
	case b.Alert != "":
		file += "_alert"
		b.arguments = append(b.arguments, b.Alert)
		b.filter(b.outcome, b.workflow)
	case b.Workflow != "":
		b.filter(b.outcome, b.workflow)
	case b.Outcome != "":
		file += "_outcome"
		b.arguments = append(b.arguments, b.Outcome)
	}
	return insert(query(file), b.more), b.arguments
}

// insert puts conditions at the end of the WHERE that decides on the rows f: before the first ORDER BY on them.
func insert(text string, conditions []string) string {
	if len(conditions) == 0 {
		return text
	}
	at := strings.Index(text, "ORDER BY f.")
	return text[:at] + "AND " + strings.Join(conditions, "\n    AND ") + "\n" + text[at:]
}

// namespaces are those to read, which may be none; false for all.
func (b *listing) namespaces() (names []string, some bool) {
	names = []string{} // an array without elements, not NULL
	switch {
	case b.readable.Everything:
		return append(names, b.Namespaces...), len(b.Namespaces) > 0
	case len(b.Namespaces) == 0:
		return slices.AppendSeq(names, maps.Keys(b.readable.Since)), true
	}
	for _, name := range b.Namespaces {
		if _, may := b.readable.Since[name]; may {
			names = append(names, name)
		}
	}
	return names, true
}

// only is names with the times of each.
func (r *Readable) only(names []string) ([]string, []time.Time) {
	times := make([]time.Time, len(names))
	for i, name := range names {
		times[i] = r.Since[name]
	}
	return names, times
}

func (b *listing) filter(all ...func()) {
	for _, add := range all {
		add()
	}
}

func (b *listing) argument(value any) string {
	b.arguments = append(b.arguments, value)
	return parameter(b.arguments)
}

// outcome is in final rows only; a list by received time has the first.
func (b *listing) outcome() {
	if b.Outcome == "" {
		return
	}
	p := b.argument(b.Outcome)
	if b.Completed {
		b.more = append(b.more, "f.outcome = "+p)
		return
	}
	b.more = append(b.more, "(f.sequence IS NULL AND f.outcome = "+p+" OR EXISTS (SELECT FROM "+models.TableOrchestration+" AS o WHERE o.source_uid = f.source_uid AND o.final AND o.outcome = "+p+"))")
}

func (b *listing) alert() {
	if b.Alert != "" {
		b.more = append(b.more, "f.alert_name = left("+b.argument(b.Alert)+", 255)")
	}
}

// workflow looks at the executions that the remediation's own rows name as children: strangers may post any number under its id. What was posted names none, so no more than a bound are looked at.
func (b *listing) workflow() {
	if b.Workflow == "" {
		return
	}
	if b.of != nil {
		id := "f.remediation_id"
		if b.along { // which is no condition of an index
			id += " || ''"
		}
		b.more = append(b.more, id+" = ANY("+b.argument(b.of)+"::text[])")
	}
	children := "f.children"
	if !b.Completed { // the list has first rows, and the newest names them all
		children = "(SELECT o.children FROM " + models.TableOrchestration + " AS o WHERE o.source_uid = f.source_uid ORDER BY o.sequence DESC LIMIT 1)"
	}
	same := " AND w.workflow_id = " + b.argument(b.Workflow) + " AND w.source_namespace IS NOT DISTINCT FROM f.source_namespace AND w.source_cluster IS NOT DISTINCT FROM f.source_cluster"
	// OFFSET 0: each child is looked up by its index. The planner takes it that there are a thousand of them, and would read a small table whole for each row.
	b.more = append(b.more, fmt.Sprintf(`(EXISTS (SELECT FROM jsonb_path_query(%[2]s, '$[*] ? (@.service == "`+ServiceWorkflowExecution+`").uid', '{}', true) AS c CROSS JOIN LATERAL (SELECT FROM %[1]s AS w
		WHERE w.source_uid = CASE WHEN c #>> '{}' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN (c #>> '{}')::uuid END AND w.sequence = 1 AND w.remediation_id || '' = f.remediation_id%[3]s OFFSET 0) AS w)
	OR f.sequence IS NULL AND EXISTS (SELECT FROM (SELECT w.* FROM %[1]s AS w WHERE w.remediation_id = f.remediation_id LIMIT %[4]d) AS w WHERE w.sequence IS NULL%[3]s))`,
		models.TableExecution, children, same, maxPosted))
}

func (b *listing) prefix() {
	if b.Prefix == "" {
		return
	}
	from, to := b.argument(b.Prefix), b.argument(b.Prefix+"\U0010ffff")
	var any []string
	for _, column := range []string{"source_name", "signal_fingerprint", "remediation_id"} {
		any = append(any, "f."+column+" ~>=~ "+from+" AND f."+column+" ~<~ "+to)
	}
	b.more = append(b.more, "("+strings.Join(any, " OR ")+")")
}
