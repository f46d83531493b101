package plugin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// drained is the result of drain.
type drained struct {
	Drained bool      `json:"drained"`
	Items   []summary `json:"items"`
	Pending int       `json:"pendingEntries"`

	now time.Time
}

// drainShown is how many of the resources that are left are shown.
const drainShown = 20

func (d *drained) text(p *page) {
	if d.Drained {
		p.line("Nothing is pending.")
		return
	}
	p.line("%s in %s:", counted(d.Pending, "entry"), counted(len(d.Items), "resource"))
	rows := make([][]string, 0, drainShown)
	for i := range d.Items[:min(len(d.Items), drainShown)] {
		rows = append(rows, d.Items[i].row(false, d.now))
	}
	p.table([]string{"NAMESPACE", "NAME", "PHASE", "STATE", "PENDING", "OLDEST", "AGE"}, rows)
	if more := len(d.Items) - drainShown; more > 0 {
		p.line("and %d more", more)
	}
}

func newDrainCommand(c *cluster) *cobra.Command {
	var (
		in      scope
		out     output
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Wait until no resource has a pending entry: before an upgrade or an uninstallation",
		Long: `Wait until no resource has an entry in its outbox, and show how many are left. The command changes
nothing: the managers drain. New entries of resources that still change count too.

Exit status: 0 drained, 2 something could not be read, 124 timeout; then the resources that are left are
shown.`,
		Example: `  kubectl holdfast drain -A --timeout 5m
  kubectl holdfast drain -n shop`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if timeout <= 0 {
				return fmt.Errorf("--timeout is %s, expected a time above 0", timeout)
			}
			d, err := c.drain(cmd.Context(), in, timeout)
			if d == nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, d), err)
		},
	}
	in.addFlags(cmd)
	out.addFlags(cmd)
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "longest wait")
	return cmd
}

// drainInterval is the time between two looks at all resources.
const drainInterval = time.Second

func (c *cluster) drain(ctx context.Context, in scope, timeout time.Duration) (*drained, error) {
	deadline, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	last := -1
	for {
		l, err := c.list(ctx, nil, in, func(s *summary) bool { return s.Pending > 0 })
		if err != nil {
			return nil, err
		}
		if len(l.Unread) > 0 {
			return nil, fmt.Errorf("could not read %s: %s", l.Unread[0].What, l.Unread[0].Reason)
		}
		d := &drained{Drained: len(l.Items) == 0, Items: l.Items, now: l.now}
		for i := range l.Items {
			d.Pending += l.Items[i].Pending
		}
		if d.Drained {
			return d, nil
		}
		if d.Pending != last {
			last = d.Pending
			fmt.Fprintf(c.streams.ErrOut, "%s pending in %s\n", counted(d.Pending, "entry"), counted(len(l.Items), "resource"))
		}
		select {
		case <-deadline.Done():
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return d, &exitError{code: exitTimeout, err: fmt.Errorf("timeout after %s; `%s` says why", timeout, c.verb("explain "+l.Items[0].named()))}
		case <-time.After(drainInterval):
		}
	}
}
