package postgres

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Readable is what a reader may see: everything, or the rows of some namespaces of one cluster.
type Readable struct {
	// Everything is every row; the other fields do not count then.
	Everything bool
	// Cluster is source_cluster of the rows; "" is NULL.
	Cluster string
	// Since has the namespaces, and when each was made: what is older is of another namespace of that name.
	Since map[string]time.Time
}

// Sees reports whether the reader may see a row, by its envelope. A row without a place in an outbox is nobody's but of whoever may see everything.
func (r *Readable) Sees(e *models.Envelope) bool {
	return r.sees(e.SourceCluster, e.SourceNamespace, e.SourceUID, e.Sequence, e.RecordedAt, e.CreatedAt)
}

// SeesLetter is Sees for a dead letter.
func (r *Readable) SeesLetter(d *models.DeadLetter) bool {
	return r.sees(d.SourceCluster, d.SourceNamespace, d.SourceUID, d.Sequence, d.FirstAttempt, d.FirstAttempt)
}

func (r *Readable) sees(cluster, namespace, uid string, sequence int64, recorded, created outboxapi.Time) bool {
	if r.Everything {
		return true
	}
	since, ok := r.Since[namespace]
	return ok && namespace != "" && cluster == r.Cluster && uid != "" && sequence != 0 && !recorded.Before(since) && !created.Before(since)
}

// Within is what the reader may see in some namespaces. Who may see everything still does: their questions name the namespaces.
func (r *Readable) Within(namespaces []string) Readable {
	within := Readable{Everything: r.Everything, Cluster: r.Cluster, Since: map[string]time.Time{}}
	for _, name := range namespaces {
		if since, ok := r.Since[name]; ok {
			within.Since[name] = since
		}
	}
	return within
}

// Key names the set of rows: what was found for one reader is good for another with the same key.
func (r *Readable) Key() string {
	if r.Everything {
		return "*"
	}
	sum := sha256.New()
	fmt.Fprintln(sum, r.Cluster)
	for _, name := range slices.Sorted(maps.Keys(r.Since)) {
		fmt.Fprintln(sum, name, r.Since[name].UnixMicro())
	}
	return string(sum.Sum(nil))
}

// names and times are the namespaces as two arrays for a query.
func (r *Readable) names() (names []string, times []time.Time) {
	names, times = []string{}, []time.Time{} // an array without elements, not NULL
	for name, since := range r.Since {
		names, times = append(names, name), append(times, since)
	}
	return names, times
}

// readableRows is how the queries say which rows a reader may see; see queries/README.md.
var readableRows = regexp.MustCompile(`(\w+)\.source_namespace = ANY\(\$(\d+)::text\[\]\)`)

// restrict puts what the reader may see into a query. Each readableRows becomes true, or the whole condition, whose further arguments follow those of the query. The argument that stands
// for the namespaces is set here.
func (r *Readable) restrict(text string, arguments []any) (string, []any) {
	q := restrictedQuery(restriction{text, r.Everything, len(arguments)})
	if len(q.names) == 0 {
		return q.text, arguments
	}
	if r.Everything {
		for _, n := range q.names {
			arguments[n-1] = nil
		}
		return q.text, arguments
	}
	names, times := r.names()
	for _, n := range q.names {
		arguments[n-1] = names
	}
	return q.text, append(arguments, times, r.Cluster)
}

// restriction is a query with so many arguments, for whoever may see everything or not.
type restriction struct {
	text       string
	everything bool
	arguments  int
}

// restricted is a query in which stands what the reader may see. names are the numbers of the arguments that are the namespaces.
type restricted struct {
	text  string
	names []int
}

// restrictions are those that were asked for, by restriction: to find the places in a text takes as long as to build a part of a report. The texts are those of the files with or without each
// filter, so they are few.
var restrictions sync.Map

func restrictedQuery(key restriction) *restricted {
	if known, ok := restrictions.Load(key); ok {
		return known.(*restricted)
	}
	q := &restricted{}
	q.text = readableRows.ReplaceAllStringFunc(key.text, func(found string) string {
		parts := readableRows.FindStringSubmatch(found)
		n, _ := strconv.Atoi(parts[2]) // digits
		if !slices.Contains(q.names, n) {
			q.names = append(q.names, n)
		}
		if key.everything {
			return fmt.Sprintf("$%d::text[] IS NULL", n)
		}
		return visible(parts[1], n, key.arguments+1)
	})
	restrictions.Store(key, q)
	return q
}

// visible is the condition of Sees in SQL: names is the number of the argument with the namespaces, next that of their times, and after it comes the cluster.
func visible(alias string, names, next int) string {
	return fmt.Sprintf(`(%[1]s.source_namespace = ANY($%[2]d::text[]) AND %[1]s.source_uid IS NOT NULL AND %[1]s.sequence IS NOT NULL
	AND %[1]s.source_cluster IS NOT DISTINCT FROM nullif($%[4]d::text, '')
	AND EXISTS (SELECT FROM unnest($%[2]d::text[], $%[3]d::timestamptz[]) AS live(namespace, since)
		WHERE live.namespace = %[1]s.source_namespace AND %[1]s.recorded_at >= live.since AND %[1]s.created_at >= live.since))`, alias, names, next, next+1)
}
