package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/internal/command"
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
		Long: `Check an installation: the CustomResourceDefinitions and their fields, the admission policies (by dry runs
that they must refuse or change), the managers' workload, account and Secret, their leases, every right of
their account, the roles for people, that no other namespace has managers too, and with --database-url the
schema. The command creates nothing. For each thing that is missing it prints the command that helps.

Exit status: 0 everything is there, 1 something is missing, 2 something could not be checked, 124 --wait
took too long.`,
		Example: `  kubectl holdfast check
  kubectl holdfast check --wait --timeout 5m
  kubectl holdfast check --database-url "$HOLDFAST_DATABASE_URL" -o json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			result, err := c.check(cmd.Context(), &db)
			for deadline := time.Now().Add(timeout); wait && err == nil && result.State != checkOK; result, err = c.check(cmd.Context(), &db) {
				if time.Now().After(deadline) {
					return errors.Join(out.print(c.streams.Out, result), &command.ExitError{Code: exitTimeout, Err: fmt.Errorf("timeout after %s", timeout)})
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
			return errors.Join(out.print(c.streams.Out, result), map[string]error{checkFailed: found(true), checkUnknown: &command.ExitError{Code: exitUnknown}}[result.State])
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
	client, err := dynamic.NewForConfig(c.rest)
	if err != nil {
		return nil, fmt.Errorf("create a cluster client: %w", err)
	}
	in := &installation{cluster: c, client: client, result: &checked{State: checkOK}}
	if err := in.find(ctx); err != nil {
		return nil, err
	}
	if err := in.checkDefinitions(ctx); err != nil {
		return nil, err
	}
	if in.checkKinds(ctx) {
		if err := in.checkPolicies(ctx); err != nil {
			return nil, err
		}
	}
	in.checkOne(ctx)
	in.checkWorkload(ctx)
	in.checkManagers(ctx)
	if err := in.checkRights(ctx); err != nil {
		return nil, err
	}
	if err := in.checkRoles(ctx); err != nil {
		return nil, err
	}
	checkSchema(ctx, db, in.result)
	return in.result, ctx.Err()
}

// checkKinds reports whether all four kinds are served.
func (in *installation) checkKinds(ctx context.Context) bool {
	types, err := in.kinds(ctx)
	if err != nil {
		in.add(checkFailed, "kinds", err.Error(), in.repair("crd"))
		return false
	}
	for _, name := range []string{requests, analyses, workflows, notifications} {
		if !slices.ContainsFunc(types, func(k kind) bool { return k.Group == ownGroup && k.Resource == name }) {
			in.add(checkFailed, "kinds", name+"."+ownGroup+" is not served, or its status has no outbox", in.repair("crd"))
			return false
		}
	}
	in.add(checkOK, "kinds", fmt.Sprintf("%d kinds have an outbox", len(types)), "")
	return true
}

// checkPolicies tries each policy, and says of one that is not at work whether it or its binding is missing.
func (in *installation) checkPolicies(ctx context.Context) error {
	objects, err := config.Policies()
	if err != nil {
		return err
	}
	at := map[string]int{}
	var all []checkItem
	for _, e := range config.Enforced(ctx, in.client) {
		n, ok := at[e.Policy]
		if !ok {
			n = len(all)
			at[e.Policy] = n
			all = append(all, checkItem{Check: "policy " + e.Policy, State: checkOK, Detail: "enforced"})
		}
		if e.Problem == nil || all[n].State != checkOK {
			continue
		}
		all[n].State, all[n].Detail, all[n].Command = checkFailed, e.Problem.Error(), in.repair("admission")
		if apierrors.IsForbidden(e.Problem) {
			all[n].State, all[n].Command = checkUnknown, ""
		}
	}
	for _, o := range objects {
		item := &all[at[o.GetName()]]
		if item.State != checkFailed {
			continue
		}
		if _, err := in.client.Resource(policyResource(o.GetKind())).Get(ctx, o.GetName(), metav1.GetOptions{}); apierrors.IsNotFound(err) {
			item.Detail = fmt.Sprintf("the %s is missing: %s", o.GetKind(), item.Detail)
		}
	}
	for _, i := range all {
		in.result.add(i)
	}
	return nil
}

// policyResource is where a kind of policy, or of binding, is.
func policyResource(kind string) schema.GroupVersionResource {
	plural := strings.ToLower(kind) + "s"
	if stem, ok := strings.CutSuffix(plural, "ys"); ok {
		plural = stem + "ies"
	}
	return schema.GroupVersionResource{Group: "admissionregistration.k8s.io", Version: "v1", Resource: plural}
}

func (in *installation) checkManagers(ctx context.Context) {
	all, err := in.managers(ctx, time.Now())
	see := in.kubectl() + " -n " + quoted(in.system) + " get pods,leases"
	switch {
	case err != nil:
		in.add(checkUnknown, "managers", reasonOf(err), "")
		return
	case len(all) == 0:
		in.add(checkFailed, "managers", "no manager holds a lease in the namespace "+in.system, see)
		return
	}
	if missing := gaps(all); len(missing) > 0 {
		in.add(checkFailed, "managers", "nobody holds the lease "+missing[0], see)
		return
	}
	in.add(checkOK, "managers", counted(len(all), "lease")+are(len(all), " is", " are")+" held", "")
}

func checkSchema(ctx context.Context, db *database, to *checked) {
	state, err := db.state(ctx)
	switch {
	case err != nil:
		to.add(checkItem{"schema", checkUnknown, err.Error(), ""})
	case state == nil:
	case state.Schema != schemaCurrent:
		to.add(checkItem{"schema", checkFailed, state.Advice, schemaCommand(state.Schema)})
	default:
		to.add(checkItem{"schema", checkOK, "current", ""})
	}
}

// schemaCommand is what helps: nothing makes a newer schema older.
func schemaCommand(state string) string {
	if state == "newer" {
		return "holdfast migrate status"
	}
	return "holdfast migrate up"
}
