package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/holdfast-dev/holdfast/config"
)

// checked is the result of check.
type checked struct {
	// State is the worst of the checks: ok, failed or unknown.
	State  string      `json:"state"`
	Checks []checkItem `json:"checks"`
}

// checkItem is one thing that an installation needs.
type checkItem struct {
	Check   string `json:"check"`
	State   string `json:"state"`
	Detail  string `json:"detail"`
	Command string `json:"command,omitempty"`
}

const (
	checkOK      = "ok"
	checkFailed  = "failed"
	checkUnknown = "unknown"
)

func (c *checked) add(i checkItem) {
	c.Checks = append(c.Checks, i)
	if i.State == checkFailed || i.State == checkUnknown && c.State == checkOK {
		c.State = i.State
	}
}

func (c *checked) text(p *page) {
	rows := make([][]string, len(c.Checks))
	for i, k := range c.Checks {
		rows[i] = []string{k.State, k.Check, k.Detail}
	}
	p.table([]string{"STATE", "CHECK", "DETAIL"}, rows)
	for _, k := range c.Checks {
		if k.Command != "" {
			p.line("%s: %s", k.Check, k.Command)
		}
	}
}

func newCheckCommand(c *cluster) *cobra.Command {
	var (
		out     output
		db      database
		wait    bool
		timeout time.Duration
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check an installation: kinds, policies, rights, managers, schema",
		Long: `Check an installation: the CustomResourceDefinitions, the admission policies (by dry runs that they must
refuse or change), the rights of the managers' account, the managers' leases, and with --database-url the
schema. The command creates nothing.

Exit status: 0 everything is there, 1 something is missing, 2 something could not be checked, 124 --wait
took too long.`,
		Example: `  kubectl holdfast check
  kubectl holdfast check --wait --timeout 5m
  kubectl holdfast check --database-url "$HOLDFAST_DATABASE_URL" -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			result, err := c.check(cmd.Context(), &db)
			for deadline := time.Now().Add(timeout); wait && err == nil && result.State != checkOK; result, err = c.check(cmd.Context(), &db) {
				if time.Now().After(deadline) {
					return errors.Join(out.print(c.streams.Out, result), &exitError{code: exitTimeout, err: fmt.Errorf("timeout after %s", timeout)})
				}
				select {
				case <-cmd.Context().Done():
					return cmd.Context().Err()
				case <-time.After(drainInterval):
				}
			}
			if err != nil {
				return err
			}
			return errors.Join(out.print(c.streams.Out, result), map[string]error{checkFailed: found(true), checkUnknown: &exitError{code: exitUnknown}}[result.State])
		},
	}
	out.addFlags(cmd)
	db.addFlags(cmd)
	cmd.Flags().BoolVar(&wait, "wait", false, "wait until everything is there")
	cmd.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "longest wait of --wait")
	return cmd
}

func (c *cluster) check(ctx context.Context, db *database) (*checked, error) {
	if err := c.connect(); err != nil {
		return nil, err
	}
	result := &checked{State: checkOK}
	complete := c.checkKinds(ctx, result)
	if complete {
		if err := c.checkPolicies(ctx, result); err != nil {
			return nil, err
		}
	}
	c.checkManagers(ctx, result)
	c.checkRights(ctx, result)
	checkSchema(ctx, db, result)
	return result, ctx.Err()
}

// checkKinds reports whether all four kinds are served.
func (c *cluster) checkKinds(ctx context.Context, to *checked) bool {
	install := c.kubectl() + " apply -k config/crd --server-side"
	types, err := c.kinds(ctx)
	if err != nil {
		to.add(checkItem{"kinds", checkFailed, err.Error(), install})
		return false
	}
	for _, name := range []string{requests, analyses, workflows, notifications} {
		if !slices.ContainsFunc(types, func(k kind) bool { return k.Group == ownGroup && k.Resource == name }) {
			to.add(checkItem{"kinds", checkFailed, name + "." + ownGroup + " is not served, or its status has no outbox", install})
			return false
		}
	}
	to.add(checkItem{"kinds", checkOK, fmt.Sprintf("%d kinds have an outbox", len(types)), ""})
	return true
}

func (c *cluster) checkPolicies(ctx context.Context, to *checked) error {
	client, err := dynamic.NewForConfig(c.rest)
	if err != nil {
		return fmt.Errorf("create a cluster client: %w", err)
	}
	at := map[string]int{}
	var all []checkItem
	for _, e := range config.Enforced(ctx, client) {
		n, ok := at[e.Policy]
		if !ok {
			n = len(all)
			at[e.Policy] = n
			all = append(all, checkItem{Check: "policy " + e.Policy, State: checkOK, Detail: "enforced"})
		}
		if e.Problem == nil || all[n].State != checkOK {
			continue
		}
		all[n].State, all[n].Detail, all[n].Command = checkFailed, e.Problem.Error(), c.kubectl()+" apply -k config/admission --server-side"
		if apierrors.IsForbidden(e.Problem) {
			all[n].State, all[n].Command = checkUnknown, ""
		}
	}
	for _, i := range all {
		to.add(i)
	}
	return nil
}

func (c *cluster) checkManagers(ctx context.Context, to *checked) {
	all, err := c.managers(ctx, time.Now())
	see := c.kubectl() + " -n " + quoted(c.system) + " get pods,leases"
	switch {
	case err != nil:
		to.add(checkItem{"managers", checkUnknown, reasonOf(err), ""})
		return
	case len(all) == 0:
		to.add(checkItem{"managers", checkFailed, "no manager holds a lease in the namespace " + c.system, see})
		return
	}
	if missing := gaps(all); len(missing) > 0 {
		to.add(checkItem{"managers", checkFailed, "nobody holds the lease " + missing[0], see})
		return
	}
	to.add(checkItem{"managers", checkOK, counted(len(all), "lease") + are(len(all), " is", " are") + " held", ""})
}

// managerRights are some of what the managers' account needs, of each kind one.
var managerRights = []authorizationv1.ResourceAttributes{
	{Group: ownGroup, Resource: requests, Verb: "list"}, {Group: ownGroup, Resource: requests, Verb: "watch"}, {Group: ownGroup, Resource: requests, Subresource: "status", Verb: "update"},
	{Group: ownGroup, Resource: analyses, Verb: "create"}, {Group: ownGroup, Resource: workflows, Verb: "create"}, {Group: ownGroup, Resource: notifications, Verb: "create"},
	{Group: ownGroup, Resource: notifications, Verb: "patch"},
}

func (c *cluster) checkRights(ctx context.Context, to *checked) {
	user := "system:serviceaccount:" + c.system + ":holdfast-manager"
	for i := range managerRights {
		right := managerRights[i]
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &right}}
		answer, err := c.clientset.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil {
			to.add(checkItem{"rights", checkUnknown, reasonOf(err), ""})
			return
		}
		if !answer.Status.Allowed {
			to.add(checkItem{"rights", checkFailed, fmt.Sprintf("the account %s may not %s %s", user, right.Verb, right.Resource), c.kubectl() + " apply -k config/default --server-side"})
			return
		}
	}
	to.add(checkItem{"rights", checkOK, "the account holdfast-manager may do its work", ""})
}

func checkSchema(ctx context.Context, db *database, to *checked) {
	state, err := db.state(ctx)
	switch {
	case err != nil:
		to.add(checkItem{"schema", checkUnknown, err.Error(), ""})
	case state == nil:
	case state.Schema != schemaCurrent:
		to.add(checkItem{"schema", checkFailed, state.Advice, "holdfast migrate status"})
	default:
		to.add(checkItem{"schema", checkOK, "current", ""})
	}
}
