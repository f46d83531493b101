package plugin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/internal/command"
)

// waited is the result of wait.
type waited struct {
	summary
	For string `json:"for"`
	// Met: the resource is as it was waited for. Gone: it does not exist any more.
	Met  bool `json:"met"`
	Gone bool `json:"gone"`
	// Why explains why not.
	Why *explanation `json:"why,omitempty"`
}

func (w *waited) text(p *page) {
	switch {
	case w.Met && w.Gone:
		p.line("%s is gone", w.ref)
	case w.Met:
		p.line("%s is %s", w.ref, w.For)
	default:
		state := w.State
		if w.Phase != "" {
			state = w.Phase + ", " + state
		}
		p.line("%s is not %s (%s, %s pending)", w.ref, w.For, state, counted(w.Pending, "entry"))
		if w.Why != nil {
			w.Why.text(p)
		}
	}
}

// Goals of wait that are no phase.
const (
	goalDrained = "drained"
	goalClosed  = "closed"
)

func reached(s *summary, goal string) bool {
	switch goal {
	case goalDrained:
		return s.LastSequence > 0 && s.Pending == 0
	case goalClosed:
		return s.Closed
	}
	return strings.EqualFold(s.Phase, goal)
}

// pollInterval is the time between two reads of one resource.
const pollInterval = 500 * time.Millisecond

func newWaitCommand(c *cluster) *cobra.Command {
	var (
		out     output
		goal    string
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "wait KIND/NAME --for=drained|closed|PHASE",
		Short: "Wait for a resource, and say why if it takes too long",
		Long: `Wait until a resource is drained (it has had entries, and none is left in it), closed (its record has
ended), or in a phase. A resource that is gone was closed and drained, unless somebody removed its
finalizer. If the record ends in another phase, the command does not wait longer.

Exit status: 0 as asked, 1 it cannot happen any more, 2 the resource could not be read, 124 timeout.`,
		Example: `  kubectl holdfast wait rr/cart-crash -n shop --for=closed --timeout=10m
  kubectl holdfast wait rr/cart-crash -n shop --for=Completed
  kubectl holdfast wait backup/settings --for=drained`,
		Args:              oneResource("KIND/NAME, as in rr/cart-crash"),
		ValidArgsFunction: c.completeResources,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			switch {
			case goal == "":
				return errors.New("--for is missing, expected drained, closed or a phase, as in --for=closed")
			case timeout <= 0:
				return fmt.Errorf("--timeout is %s, expected a time above 0", timeout)
			}
			r, err := c.get(cmd.Context(), args)
			if err != nil {
				return err
			}
			w, err := c.wait(cmd.Context(), r, goal, timeout)
			if w == nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, w), err)
		},
	}
	out.addFlags(cmd)
	cmd.Flags().StringVar(&goal, "for", "", "drained, closed, or a phase")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "longest wait")
	_ = cmd.RegisterFlagCompletionFunc("for", c.completeGoals)
	return cmd
}

func (c *cluster) wait(ctx context.Context, r *resource, goal string, timeout time.Duration) (*waited, error) {
	deadline, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	w := &waited{For: goal}
	for {
		w.summary = summarize(r)
		if w.Met = reached(&w.summary, goal); w.Met {
			return w, nil
		}
		if r.closed() && goal != goalDrained {
			return w, &command.ExitError{Code: exitFound, Err: fmt.Errorf("%s ended in the phase %s, not %s", r.ref(), cell(r.phase), goal)}
		}
		select {
		case <-deadline.Done():
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			w.Why, _ = c.explain(ctx, r) // as much as could be found out
			return w, &command.ExitError{Code: exitTimeout, Err: fmt.Errorf("timeout after %s", timeout)}
		case <-time.After(pollInterval):
		}
		again, err := c.read(ctx, r.kind, r.Namespace, r.Name)
		switch {
		case apierrors.IsNotFound(err), err == nil && again.UID != r.UID:
			w.Gone = true
			if w.Met = goal == goalDrained || goal == goalClosed; w.Met {
				return w, nil
			}
			return w, &command.ExitError{Code: exitFound, Err: fmt.Errorf("%s is gone; its last phase that was read is %s", r.ref(), cell(r.phase))}
		case err != nil:
			return nil, err
		}
		r = again
	}
}
