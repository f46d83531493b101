package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// family is the result of tree: a request and its children.
type family struct {
	Request  summary `json:"request"`
	Children []child `json:"children"`

	now time.Time
}

// child is a resource that names the request.
type child struct {
	summary
	// Owned: the request is its controller. Anybody may name a request.
	Owned bool `json:"owned"`
}

func (f *family) text(p *page) {
	rows := [][]string{treeRow("", &f.Request, f.now, true)}
	for i := range f.Children {
		branch := "├─ "
		if i == len(f.Children)-1 {
			branch = "└─ "
		}
		rows = append(rows, treeRow(branch, &f.Children[i].summary, f.now, f.Children[i].Owned))
	}
	p.table([]string{"NAME", "PHASE", "STATE", "PENDING", "LAST-SEQ", "AGE", "NOTE"}, rows)
}

func treeRow(branch string, s *summary, now time.Time, owned bool) []string {
	note := ""
	switch {
	case !owned:
		note = "not made by this request"
	case s.Held:
		note = "in deletion, kept by the outbox's finalizer"
	case s.DeletionTime != nil:
		note = "in deletion"
	}
	return []string{branch + s.ref, s.Phase, s.State, strconv.Itoa(s.Pending), strconv.FormatInt(s.LastSequence, 10), age(s.CreationTime.Time, now), note}
}

func (f *family) names() []string {
	names := []string{f.Request.ref}
	for i := range f.Children {
		names = append(names, f.Children[i].ref)
	}
	return names
}

// ownArgs finds the resource of one of Holdfast's own kinds that arguments name, as NAME, KIND/NAME or KIND NAME.
func (c *cluster) ownArgs(ctx context.Context, resourceName string, args []string) (*resource, error) {
	k, err := c.kindOf(resourceName + "." + ownGroup)
	if err != nil {
		return nil, err
	}
	name := args[0]
	if kindName, rest, err := splitName(args); err == nil {
		other, err := c.kindOf(kindName)
		if err != nil {
			return nil, err
		}
		if other.GroupResource() != k.GroupResource() {
			return nil, fmt.Errorf("the argument is %s, expected %s", article(other), article(k))
		}
		name = rest
	} else if len(args) != 1 || strings.ContainsAny(name, noName) {
		return nil, err
	}
	namespace, err := c.namespace()
	if err != nil {
		return nil, err
	}
	return c.find(ctx, k, namespace, name)
}

func newTreeCommand(c *cluster) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "tree REQUEST",
		Short: "Show a RemediationRequest and its children, with phases and what waits",
		Long: `Show a RemediationRequest and the AIAnalysis, the WorkflowExecution and the NotificationRequests that
belong to it.

Exit status: 0 shown, 2 something could not be read.`,
		Example: `  kubectl holdfast tree cart-crash -n shop
  kubectl holdfast tree rr/cart-crash -n shop -o json`,
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
			children, err := c.children(cmd.Context(), r)
			if err != nil {
				return err
			}
			f := &family{Request: summarize(r), Children: []child{}, now: time.Now()}
			for _, one := range children {
				f.Children = append(f.Children, child{summarize(one), ownedBy(one, r)})
			}
			return out.print(c.streams.Out, f)
		},
	}
	out.addFlags(cmd, formatName)
	return cmd
}

// Resources of Holdfast's own kinds.
const (
	requests      = "remediationrequests"
	analyses      = "aianalyses"
	workflows     = "workflowexecutions"
	notifications = "notificationrequests"
)

// children are the resources that name a request, by kind and age.
func (c *cluster) children(ctx context.Context, request *resource) ([]*resource, error) {
	var all []*resource
	by := selectors{fields: fields.OneTermEqualSelector("spec.remediationRef.uid", string(request.UID)).String()}
	for _, name := range []string{analyses, workflows, notifications} {
		k, err := c.kindOf(name + "." + ownGroup)
		if err != nil {
			return nil, err
		}
		from := len(all)
		if err := c.each(ctx, k, request.Namespace, by, func(r *resource) { all = append(all, r) }); err != nil {
			return nil, err
		}
		slices.SortStableFunc(all[from:], func(a, b *resource) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	}
	return all, nil
}

func ownedBy(r, owner *resource) bool {
	return slices.ContainsFunc(r.OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == owner.UID && o.Controller != nil && *o.Controller })
}

// typed decodes a resource of one of Holdfast's own kinds.
func typed[T v1alpha1.RemediationRequest | v1alpha1.AIAnalysis | v1alpha1.WorkflowExecution | v1alpha1.NotificationRequest](r *resource) (*T, error) {
	into := new(T)
	if err := json.Unmarshal(r.text, into); err != nil {
		return nil, fmt.Errorf("read %s: it is not as this program expects: %w; use the plugin of the release that made it", r.ref(), err)
	}
	return into, nil
}
