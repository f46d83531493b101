package plugin

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// overview is the result of status.
type overview struct {
	Namespace string      `json:"namespace,omitempty"`
	Managers  []manager   `json:"managers"`
	Store     storeState  `json:"store"`
	Kinds     []kindCount `json:"kinds"`
	Total     kindCount   `json:"total"`
	// Database is there with --database-url.
	Database *databaseState `json:"database,omitempty"`
	// Problems are what somebody should look at, each with the command that says more.
	Problems []problem `json:"problems"`
	Unread   []unread  `json:"unread,omitempty"`

	now time.Time
}

// kindCount are the numbers of a kind's resources.
type kindCount struct {
	Resource          string          `json:"resource"`
	Resources         int             `json:"resources"`
	PendingResources  int             `json:"pendingResources"`
	PendingEntries    int             `json:"pendingEntries"`
	PendingBytes      int             `json:"pendingBytes"`
	OldestPendingTime *outboxapi.Time `json:"oldestPendingTime,omitempty"`
	// PersistedTime is when an entry was known to be durable last.
	PersistedTime *outboxapi.Time `json:"persistedTime,omitempty"`
	Blocked       int             `json:"blocked"`
	Held          int             `json:"held"`
}

func (k *kindCount) add(s *summary) {
	k.Resources++
	k.PendingEntries += s.Pending
	k.PendingBytes += s.PendingBytes
	if s.Pending > 0 {
		k.PendingResources++
	}
	if s.Blocked {
		k.Blocked++
	}
	if s.Held {
		k.Held++
	}
	if s.OldestPendingTime != nil && (k.OldestPendingTime == nil || s.OldestPendingTime.Before(k.OldestPendingTime.Time)) {
		k.OldestPendingTime = s.OldestPendingTime
	}
	if newest := k.persisted(); s.persisted.After(newest) {
		k.PersistedTime = outboxapi.NewTimePointer(s.persisted)
	}
}

func (k *kindCount) persisted() time.Time {
	if k.PersistedTime == nil {
		return time.Time{}
	}
	return k.PersistedTime.Time
}

func (k *kindCount) row(wide bool, now time.Time) []string {
	oldest := ""
	if k.OldestPendingTime != nil {
		oldest = age(k.OldestPendingTime.Time, now)
	}
	row := []string{k.Resource, strconv.Itoa(k.Resources), strconv.Itoa(k.PendingResources), strconv.Itoa(k.PendingEntries), oldest, strconv.Itoa(k.Blocked), strconv.Itoa(k.Held)}
	if wide {
		row = append(row, strconv.Itoa(k.PendingBytes), age(k.persisted(), now))
	}
	return row
}

// problem is a fact that needs somebody, and a command.
type problem struct {
	Problem string `json:"problem"`
	Command string `json:"command"`
}

func (o *overview) text(p *page) {
	p.title("Managers")
	if len(o.Managers) == 0 {
		p.line("no manager holds a lease (one that runs without --leader-elect has none)")
	} else {
		rows := make([][]string, len(o.Managers))
		for i := range o.Managers {
			m := &o.Managers[i]
			renewed := ""
			if m.RenewTime != nil {
				renewed = age(*m.RenewTime, o.now)
			}
			shardName, namespaces := m.Shard, strings.Join(m.Namespaces, ",")
			if shardName == "" {
				shardName = "all"
			}
			if namespaces == "" {
				namespaces = "all"
			}
			rows[i] = []string{m.Lease, yes(m.Active), shardName, namespaces, m.Holder, renewed}
			if p.wide {
				rows[i] = append(rows[i], age(m.acquired(), o.now))
			}
		}
		header := []string{"LEASE", "ACTIVE", "SHARD", "NAMESPACES", "HOLDER", "RENEWED"}
		if p.wide {
			header = append(header, "HELD-FOR")
		}
		p.table(header, rows)
	}
	p.line("")
	p.title("Store")
	since := ""
	if o.Store.Since != nil {
		since = ", since " + age(*o.Store.Since, o.now)
	}
	if o.Store.Breaker == breakerUnknown {
		since = ": no Event of a manager that runs tells (the relay writes one when the store fails, and when it is back)"
	}
	p.line("breaker %s%s", o.Store.Breaker, since)
	if o.Store.Breaker == breakerOpen {
		p.line("%s", o.Store.Reason)
	}
	if o.Database != nil {
		o.Database.text(p)
	}
	p.line("")
	p.title("Resources")
	var rows [][]string
	for i := range o.Kinds {
		rows = append(rows, o.Kinds[i].row(p.wide, o.now))
	}
	if len(o.Kinds) > 1 {
		rows = append(rows, o.Total.row(p.wide, o.now))
	}
	header := []string{"KIND", "RESOURCES", "PENDING", "ENTRIES", "OLDEST", "BLOCKED", "HELD"}
	if p.wide {
		header = append(header, "BYTES", "DURABLE")
	}
	if len(rows) > 0 {
		p.table(header, rows)
	} else {
		p.line("no resources with an outbox%s", inNamespace(o.Namespace))
	}
	p.line("")
	if len(o.Problems) == 0 {
		p.line("Nothing needs attention.")
	}
	for _, q := range o.Problems {
		p.line("! %s", q.Problem)
		p.line("  %s", q.Command)
	}
	for _, u := range o.Unread {
		p.line("Could not read %s: %s", u.What, u.Reason)
	}
}

// lines are one: the numbers.
func (o *overview) lines() []string {
	active := 0
	for i := range o.Managers {
		if o.Managers[i].Active {
			active++
		}
	}
	l := fmt.Sprintf("managers=%d/%d breaker=%s resources=%d pending=%d blocked=%d held=%d", active, len(o.Managers), o.Store.Breaker,
		o.Total.Resources, o.Total.PendingEntries, o.Total.Blocked, o.Total.Held)
	for _, q := range o.Problems {
		l += "; " + q.Problem
	}
	return []string{l}
}

func newStatusCommand(c *cluster) *cobra.Command {
	var (
		in        scope
		out       output
		w         watch
		db        database
		exitCodes bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show managers, store, and what waits, on one screen",
		Long: `Show the managers and their shards, the store, and what waits in resources. With --database-url it also
shows the schema and the dead letters.

The breaker is open while the store accepts no entries. The command knows that from the Events of the
relay, which the API server keeps for an hour.

With --exit-code the exit status is 1 if something needs attention. It is 2 if something could not be
read.`,
		Example: `  kubectl holdfast status -A
  kubectl holdfast status -A --watch
  kubectl holdfast status -A --exit-code -o json | jq '.problems[]'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := firstOf(out.check(), w.check(&out)); err != nil {
				return err
			}
			return w.run(cmd.Context(), c, &out, func(ctx context.Context) (result, error) {
				o, err := c.overview(ctx, in, &db)
				switch {
				case err != nil:
					return nil, err
				case len(o.Unread) > 0:
					return o, &command.ExitError{Code: exitUnknown}
				case exitCodes:
					return o, found(len(o.Problems) > 0)
				}
				return o, nil
			})
		},
	}
	in.addFlags(cmd)
	out.addFlags(cmd)
	w.addFlags(cmd)
	db.addFlags(cmd)
	cmd.Flags().BoolVar(&exitCodes, "exit-code", false, "exit status 1 if something needs attention")
	return cmd
}

// overview reads everything that status shows. What may not be read is named, and the rest is shown.
func (c *cluster) overview(ctx context.Context, in scope, db *database) (*overview, error) {
	o := &overview{now: time.Now(), Managers: []manager{}, Problems: []problem{}}
	l, err := c.list(ctx, nil, in, func(*summary) bool { return true })
	if err != nil {
		return nil, err
	}
	o.count(l)
	if o.Namespace, err = c.namespaceOf(in); err != nil {
		return nil, err
	}
	if managers, err := c.managers(ctx, o.now); err != nil {
		o.Unread = append(o.Unread, unread{"managers", reasonOf(err)})
	} else {
		o.Managers = managers
		o.judgeManagers(c)
	}
	if o.Store, err = c.store(ctx); err != nil {
		o.Unread = append(o.Unread, unread{"the state of the store", reasonOf(err)})
	}
	o.Store.outlived(o.Managers, time.Time{}) // when an entry was persisted each namespace can write into its resources
	if o.Database, err = db.state(ctx); err != nil {
		o.Unread = append(o.Unread, unread{"the database", reasonOf(err)})
	}
	o.judge(c, in)
	return o, nil
}

func (o *overview) count(l *listed) {
	o.Unread = l.Unread
	o.Total.Resource = "total"
	at := map[string]int{}
	for i := range l.Items {
		s := &l.Items[i]
		n, ok := at[s.Resource]
		if !ok {
			n = len(o.Kinds)
			at[s.Resource] = n
			o.Kinds = append(o.Kinds, kindCount{Resource: s.Resource})
		}
		o.Kinds[n].add(s)
		o.Total.add(s)
	}
	if o.Kinds == nil {
		o.Kinds = []kindCount{}
	}
}

// judgeManagers finds work that nobody does.
func (o *overview) judgeManagers(c *cluster) {
	see := c.kubectl() + " -n " + quoted(c.system) + " get pods,leases"
	if oldest := o.Total.OldestPendingTime; len(o.Managers) == 0 && oldest != nil && o.now.Sub(oldest.Time) > unattendedAfter {
		o.Problems = append(o.Problems, problem{"Entries wait, and no manager holds a lease in the namespace " + c.system + ".", see})
	}
	for _, lease := range gaps(o.Managers) {
		o.Problems = append(o.Problems, problem{"No manager holds the lease " + lease + ".", see})
	}
}

// judge finds what else needs somebody.
func (o *overview) judge(c *cluster, in scope) {
	where := ""
	if in.all {
		where = " -A"
	} else if o.Namespace != "" {
		where = " -n " + quoted(o.Namespace)
	}
	if o.Store.Breaker == breakerOpen {
		o.Problems = append(o.Problems, problem{"The store accepts no entries. They stay in their resources.", c.kubectl() + " -n " + quoted(c.system) + " logs -l app.kubernetes.io/component=manager --tail=50"})
	}
	if n := o.Total.Blocked; n > 0 {
		o.Problems = append(o.Problems, problem{counted(n, "resource") + are(n, " waits", " wait") + " for room in the outbox.", c.verb("list --blocked" + where)})
	}
	if n := o.Total.Held; n > 0 {
		o.Problems = append(o.Problems, problem{counted(n, "resource") + are(n, " is", " are") + " in deletion and kept by the outbox's finalizer.", c.verb("list --held" + where)})
	}
	if d := o.Database; d != nil {
		o.Problems = append(o.Problems, d.problems()...)
	}
}
