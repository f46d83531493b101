package plugin

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/command"
)

// cancelled is the result of cancel.
type cancelled struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	Phase     string `json:"phase"`
	Target    string `json:"target"`
	// Already: somebody had cancelled it before.
	Already bool `json:"already"`
}

func (r *cancelled) text(p *page) {
	if r.Already {
		p.line("%s in %s was cancelled before", r.Name, r.Namespace)
		return
	}
	p.line("cancelled %s in %s", r.Name, r.Namespace)
}

func newCancelCommand(c *cluster) *cobra.Command {
	var (
		out output
		yes bool
	)
	cmd := &cobra.Command{
		Use:   "cancel REQUEST",
		Short: "Cancel a RemediationRequest and its children",
		Long: `Cancel a RemediationRequest. Its children are cancelled too; a step that runs ends, and what was changed
stays. A cancellation cannot be undone. The request stays until its TTL is over.

Exit status: 0 cancelled, 1 it has ended already, or you answered no, 2 it could not be cancelled.`,
		Example: `  kubectl holdfast cancel cart-crash -n shop
  kubectl holdfast cancel rr/cart-crash -n shop --yes`,
		Args:              oneResource("the name of a request, as in cart-crash"),
		ValidArgsFunction: c.completeOwn(requests),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			r, err := c.ownArgs(cmd.Context(), requests, args)
			if err != nil {
				return err
			}
			rr, err := typed[v1alpha1.RemediationRequest](r)
			if err != nil {
				return err
			}
			did := &cancelled{Namespace: r.Namespace, Name: r.Name, UID: string(r.UID), Phase: r.phase, Target: rr.Spec.Target.Kind + "/" + rr.Spec.Target.Name, Already: rr.Spec.Cancel}
			switch {
			case did.Already:
				return out.print(c.streams.Out, did)
			case r.closed():
				return &command.ExitError{Code: exitFound, Err: fmt.Errorf("%s has ended already, in the phase %s", r.ref(), cell(r.phase))}
			}
			page := &page{}
			page.line("%s in %s: %s on %s", r.Name, r.Namespace, cell(r.phase), did.Target)
			if _, err := c.streams.ErrOut.Write(page.buffer.Bytes()); err != nil {
				return fmt.Errorf("write the output: %w", err)
			}
			if err := c.confirm(cmd.Context(), "Cancel it?", yes); err != nil {
				return err
			}
			if err := c.patch(cmd.Context(), r.kind, r.Namespace, r.Name, operation{"test", "/metadata/uid", string(r.UID)}, operation{"add", "/spec/cancel", true}); err != nil {
				return err
			}
			return out.print(c.streams.Out, did)
		},
	}
	out.addFlags(cmd)
	addYes(cmd, &yes)
	return cmd
}
