package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/outbox"
)

// drained is the result of drain.
type drained struct {
	Drained bool      `json:"drained"`
	Items   []summary `json:"items"`
	Pending int       `json:"pendingEntries"`

	now      time.Time
	released bool
}

// drainShown is how many of the resources that are left are shown.
const drainShown = 20

func (d *drained) text(p *page) {
	switch {
	case d.Drained && d.released:
		p.line("Nothing is pending, and no resource has the finalizer %s.", outbox.Finalizer)
		return
	case d.Drained:
		p.line("Nothing is pending.")
		return
	case d.Pending == 0:
		p.line("%s with the finalizer %s:", counted(len(d.Items), "resource"), outbox.Finalizer)
	default:
		p.line("%s in %s:", counted(d.Pending, "entry"), counted(len(d.Items), "resource"))
	}
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
		in  scope
		out output
		how = drainUntil{timeout: defaultDrainTimeout}
	)
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Wait until no resource has a pending entry: before an upgrade or an uninstallation",
		Long: `Wait until no resource has an entry in its outbox, and show how many are left. The command changes
nothing: the managers drain. New entries of resources that still change count too.

Before an uninstallation use --released: a resource that has the outbox's finalizer when its manager is
gone cannot be deleted any more. Delete the resources first.

Exit status: 0 drained, 2 something could not be read, 124 timeout; then the resources that are left are
shown.`,
		Example: `  kubectl holdfast drain -A --timeout 5m
  kubectl holdfast drain -n shop
  kubectl holdfast drain -A --released`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if how.timeout <= 0 {
				return fmt.Errorf("--timeout is %s, expected a time above 0", how.timeout)
			}
			d, err := c.drain(cmd.Context(), in, how)
			if d == nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, d), err)
		},
	}
	in.addFlags(cmd)
	out.addFlags(cmd)
	cmd.Flags().DurationVar(&how.timeout, "timeout", how.timeout, "longest wait")
	cmd.Flags().BoolVar(&how.released, "released", false, "wait also until no resource has the outbox's finalizer")
	return cmd
}

const (
	// drainInterval is the time between two looks at all resources.
	drainInterval       = time.Second
	defaultDrainTimeout = 5 * time.Minute
)

// drainUntil says what drain waits for.
type drainUntil struct {
	timeout time.Duration
	// released: also until no resource has the finalizer.
	released bool
	// own leaves out other operators' kinds, which their own programs drain.
	own bool
}

func (how drainUntil) waitsFor(s *summary) bool {
	return (!how.own || own(s.Resource)) && (s.Pending > 0 || how.released && s.finalizer)
}

// own reports whether a resource type is one of the four.
func own(resource string) bool { return strings.HasSuffix(resource, "."+ownGroup) }

func (c *cluster) drain(ctx context.Context, in scope, how drainUntil) (*drained, error) {
	deadline, stop := context.WithTimeout(ctx, how.timeout)
	defer stop()
	last := ""
	for {
		l, err := c.list(ctx, nil, in, how.waitsFor)
		if errors.Is(err, errNoOutboxes) && how.own {
			return &drained{Drained: true, released: how.released}, nil // the definitions went first, which they do only after their last resource
		}
		if err != nil {
			return nil, err
		}
		for _, u := range l.Unread {
			if !how.own || own(u.What) {
				return nil, fmt.Errorf("could not read %s: %s", u.What, u.Reason)
			}
		}
		d := &drained{Drained: len(l.Items) == 0, Items: l.Items, now: l.now, released: how.released}
		for i := range l.Items {
			d.Pending += l.Items[i].Pending
		}
		if d.Drained {
			return d, nil
		}
		if now := fmt.Sprintf("%s pending, %s left", counted(d.Pending, "entry"), counted(len(l.Items), "resource")); now != last {
			last = now
			fmt.Fprintln(c.streams.ErrOut, now)
		}
		select {
		case <-deadline.Done():
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return d, &command.ExitError{Code: exitTimeout, Err: c.late(d, how)}
		case <-time.After(drainInterval):
		}
	}
}

// late says what to do when the time is up.
func (c *cluster) late(d *drained, how drainUntil) error {
	explain := c.verb("explain " + d.Items[0].named())
	if d.Pending == 0 {
		return fmt.Errorf("timeout after %s: a resource that keeps the finalizer cannot be deleted without a manager; while one runs, `%s delete %s --all -A`; `%s` says what one waits for",
			how.timeout, c.kubectl(), d.Items[0].Resource, explain)
	}
	return fmt.Errorf("timeout after %s; `%s` says why", how.timeout, explain)
}

// NewDrainCommand makes `holdfast drain`: what a Job does before an uninstallation, in an image that has no kubectl.
func NewDrainCommand(version string) *cobra.Command {
	var out output
	how := drainUntil{timeout: defaultDrainTimeout, released: true, own: true}
	config := genericclioptions.NewConfigFlags(true)
	cmd := &cobra.Command{
		Use:   "drain",
		Short: "Wait until Holdfast's resources need no manager any more: before an uninstallation",
		Long: `Wait until no RemediationRequest, AIAnalysis, WorkflowExecution or NotificationRequest has an entry in
its outbox or the outbox's finalizer. The command changes nothing: delete the resources, and the managers
close, drain and release them. 'kubectl holdfast drain -A --released' does the same for every kind with an
outbox. The command needs the verb list on the four kinds.

Exit status: 0 nothing is left, 2 something could not be read, 124 timeout; then the resources that are left
are shown.`,
		Example: `  kubectl delete remediationrequests --all -A
  holdfast drain --timeout 4m`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if how.timeout <= 0 {
				return fmt.Errorf("--timeout is %s, expected a time above 0", how.timeout)
			}
			c := &cluster{config: config, version: versionOf(version), streams: genericiooptions.IOStreams{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), ErrOut: cmd.ErrOrStderr()}}
			d, err := c.drain(cmd.Context(), scope{all: true}, how)
			if d == nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, d), err)
		},
	}
	cmd.Flags().StringVar(config.KubeConfig, "kubeconfig", "", "kubeconfig file (env KUBECONFIG; default: the Pod's service account, else ~/.kube/config)")
	cmd.Flags().DurationVar(&how.timeout, "timeout", how.timeout, "longest wait")
	return cmd
}
