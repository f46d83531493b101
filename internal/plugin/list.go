package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// listed is the result of list.
type listed struct {
	Items []summary `json:"items"`
	// Unread are resource types that could not be listed, each with the reason.
	Unread []unread `json:"unread,omitempty"`

	namespace string
	now       time.Time
}

// inNamespace is where something was looked for: one namespace, or "" for all.
func inNamespace(namespace string) string {
	if namespace == "" {
		return " in any namespace"
	}
	return " in the namespace " + namespace
}

// unread is something that could not be read, and why.
type unread struct {
	What   string `json:"what"`
	Reason string `json:"reason"`
}

func (l *listed) text(p *page) {
	header := summaryHeader
	if p.wide {
		header = append(slices.Clone(header), summaryWide...)
	}
	if len(l.Items) > 0 {
		rows := make([][]string, len(l.Items))
		for i := range l.Items {
			rows[i] = l.Items[i].row(p.wide, l.now)
		}
		p.table(slices.Clone(header), rows)
	} else {
		p.line("No resources with an outbox found%s.", inNamespace(l.namespace))
	}
	for _, u := range l.Unread {
		p.line("Could not read %s: %s", u.What, u.Reason)
	}
}

func (l *listed) names() []string {
	names := make([]string, len(l.Items))
	for i := range l.Items {
		names[i] = l.Items[i].ref
	}
	return names
}

// lines are what a watch compares: ages are no change.
func (l *listed) lines() []string {
	lines := make([]string, len(l.Items))
	for i := range l.Items {
		s := &l.Items[i]
		lines[i] = fmt.Sprintf("%s %s phase=%s state=%s pending=%d last=%d persisted=%d", s.Namespace, s.ref, cell(s.Phase), s.State, s.Pending, s.LastSequence, s.PersistedSequence)
	}
	return lines
}

// filter are the flags that leave resources out.
type filter struct {
	pending, blocked, held bool
}

func (f *filter) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.pending, "pending", false, "only resources with entries in their outbox")
	cmd.Flags().BoolVar(&f.blocked, "blocked", false, "only resources whose next change waits for room in the outbox")
	cmd.Flags().BoolVar(&f.held, "held", false, "only resources in deletion that the outbox's finalizer keeps")
}

// takes reports whether a resource is wanted. Several flags ask for what any of them names.
func (f *filter) takes(s *summary) bool {
	if !f.pending && !f.blocked && !f.held {
		return true
	}
	return f.pending && s.Pending > 0 || f.blocked && s.Blocked || f.held && s.Held
}

func newListCommand(c *cluster) *cobra.Command {
	var (
		in     scope
		only   filter
		out    output
		w      watch
		sortBy string
	)
	cmd := &cobra.Command{
		Use:     "list [KIND...]",
		Aliases: []string{"ls", "get"},
		Short:   "List the resources with an outbox, of every kind that has one",
		Long: `List the resources with an outbox, of Holdfast's kinds and of other operators' kinds.

PENDING is the number of entries in the resource. It is not a backlog: an entry that the store has
stays until the next write of the controller, or until the relay removes it some seconds later.
STATE is blocked (the outbox is full), held (in deletion, kept by the outbox's finalizer), pending,
drained, or none (no entry yet).

Exit status: 0 listed, 2 some resources could not be listed.`,
		Example: `  kubectl holdfast list -A
  kubectl holdfast list --pending --sort-by oldest -A
  kubectl holdfast list rr,wfe -n shop -o wide
  kubectl holdfast list --held -A -o json | jq -r '.items[] | "\(.namespace) \(.name)"'`,
		ValidArgsFunction: c.completeKinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := firstOf(out.check(), sorted(nil, sortBy), w.check(&out)); err != nil {
				return err
			}
			return w.run(cmd.Context(), c, &out, func(ctx context.Context) (result, error) {
				l, err := c.list(ctx, args, in, only.takes)
				if err != nil {
					return nil, err
				}
				if err := sorted(l.Items, sortBy); err != nil {
					return nil, err
				}
				if len(l.Unread) > 0 {
					return l, &command.ExitError{Code: exitUnknown}
				}
				return l, nil
			})
		},
	}
	in.addFlags(cmd)
	only.addFlags(cmd)
	out.addFlags(cmd, formatName)
	w.addFlags(cmd)
	cmd.Flags().StringVar(&sortBy, "sort-by", "name", "order: "+orList(orderNames))
	_ = cmd.RegisterFlagCompletionFunc("sort-by", cobra.FixedCompletions(orderNames, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// list reads the resources of some kinds, or of all, that are taken.
func (c *cluster) list(ctx context.Context, kinds []string, in scope, takes func(*summary) bool) (*listed, error) {
	types, err := c.chosen(ctx, kinds)
	if err != nil {
		return nil, err
	}
	namespace, err := c.namespaceOf(in)
	if err != nil {
		return nil, err
	}
	l := &listed{Items: []summary{}, namespace: namespace, now: time.Now()}
	progress := c.progress("resources read")
	defer progress.done()
	refused := map[string]string{}
	for _, k := range types {
		err := c.each(ctx, k, namespace, selectors{labels: in.selector}, func(r *resource) {
			progress.step()
			if s := summarize(r); takes(&s) {
				l.Items = append(l.Items, s)
			}
		})
		switch {
		case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
			refused[k.GroupResource().String()] = reasonOf(err)
		case err != nil:
			return nil, err
		}
	}
	for _, what := range slices.Sorted(maps.Keys(refused)) {
		l.Unread = append(l.Unread, unread{what, refused[what]})
	}
	if len(refused) == len(types) {
		return nil, fmt.Errorf("nothing could be read: %s: %s; docs/kubectl.md lists the rights of each verb, and -n chooses a namespace", l.Unread[0].What, l.Unread[0].Reason)
	}
	return l, nil
}

// reasonOf is what an API server says, without the names of the request.
func reasonOf(err error) string {
	if status := apierrors.APIStatus(nil); errors.As(err, &status) {
		return status.Status().Message
	}
	return err.Error()
}

// progress counts on a terminal's standard error, where there is much to read.
type progress struct {
	to    io.Writer
	noun  string
	n     int
	shown bool
}

// progressStep is after how many steps the number is written again.
const progressStep = 1000

func (c *cluster) progress(noun string) *progress {
	p := &progress{noun: noun}
	if isTerminal(c.streams.ErrOut) {
		p.to = c.streams.ErrOut
	}
	return p
}

func (p *progress) step() {
	if p.n++; p.to != nil && p.n%progressStep == 0 {
		p.shown = true
		fmt.Fprintf(p.to, "\r%d %s", p.n, p.noun)
	}
}

// done removes the number.
func (p *progress) done() {
	if p.shown {
		fmt.Fprint(p.to, "\r\x1b[K")
	}
}
