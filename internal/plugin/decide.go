package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/apiserver"
)

// decision is the result of approve and reject: what was decided on, and by whom.
type decision struct {
	proposal
	Action         string                 `json:"action,omitempty"`
	Rationale      string                 `json:"rationale,omitempty"`
	Steps          []string               `json:"steps,omitempty"`
	ServiceAccount string                 `json:"serviceAccount,omitempty"`
	RootCause      string                 `json:"rootCause,omitempty"`
	Evidence       []v1alpha1.Evidence    `json:"evidence,omitempty"`
	Alternatives   []v1alpha1.Alternative `json:"alternatives,omitempty"`
	Verdict        v1alpha1.Verdict       `json:"verdict"`
	DecidedBy      string                 `json:"decidedBy"`
	Method         string                 `json:"method"`
	Justification  string                 `json:"justification"`

	done bool
}

// text is the case before the decision, and one line after it.
func (d *decision) text(p *page) {
	if d.done {
		p.line("%s by %s: %s in %s", strings.ToLower(string(d.Verdict)), d.DecidedBy, d.Name, d.Namespace)
		return
	}
	p.title(fmt.Sprintf("%s in %s", d.Name, d.Namespace))
	p.fact("alert", d.Alert+" ("+d.Severity+"), request "+d.Request)
	p.fact("target", d.Target)
	p.fact("root cause", d.RootCause)
	for _, e := range d.Evidence {
		p.fact("evidence", strings.TrimSpace(e.Tool+" "+e.Purpose)+": "+e.Excerpt)
	}
	p.fact("recommends", fmt.Sprintf("%s %s, confidence %d %%", d.Workflow, parameters(d.Parameters), d.Confidence))
	p.fact("rationale", d.Rationale)
	for _, s := range d.Steps {
		p.fact("step", s)
	}
	as := "no service account: no step will run"
	if d.ServiceAccount != "" {
		as = "service account " + d.ServiceAccount + " of this namespace"
	}
	p.fact("runs as", as)
	for _, a := range d.Alternatives {
		p.fact("instead of", fmt.Sprintf("%s (%d %%): %s", a.Action, a.Confidence, a.RejectedReason))
	}
	p.fact("deadline", fmt.Sprintf("%s, in %s", d.Deadline.UTC().Format(time.RFC3339), short(max(0, time.Until(d.Deadline)))))
	p.fact("decision", fmt.Sprintf("%s by %s: %s", d.Verdict, d.DecidedBy, d.Justification))
}

// fact writes a fact below others, in two columns. A text of several lines keeps them.
func (p *page) fact(name, text string) {
	for l := range strings.Lines(strings.TrimSpace(text)) {
		p.line("  %-11s %s", name, strings.TrimRight(l, "\n"))
		name = ""
	}
}

func newDecideCommand(c *cluster, verdict v1alpha1.Verdict) *cobra.Command {
	var (
		out            output
		reason, method string
		yes            bool
	)
	word, because := "approve", "known bad release"
	if verdict == v1alpha1.VerdictRejected {
		word, because = "reject", "more memory has to be budgeted first"
	}
	cmd := &cobra.Command{
		Use:   word + " ANALYSIS --reason TEXT",
		Short: strings.ToUpper(word[:1]) + word[1:] + " the recommendation of an AIAnalysis, after a look at the evidence",
		Long: `Show the evidence, the target, the steps and the account that they run as. Then ask, and record the
decision under your user name, as the cluster knows it. A decision cannot be changed.

The command needs the verbs patch and approve on the analysis (ClusterRole holdfast-approver).

Exit status: 0 decided, 1 you answered no, 2 the decision was not made.`,
		Example: fmt.Sprintf(`  kubectl holdfast %[1]s cart-crash-analysis -n shop --reason '%[2]s'
  kubectl holdfast %[1]s aia/cart-crash-analysis -n shop --reason 'as in runbook 12' --yes -o json`, word, because),
		Args:              oneResource("the name of an analysis, as in cart-crash-analysis"),
		ValidArgsFunction: c.completeOwn(analyses),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := firstOf(out.check(), checkReason(reason), checkMethod(method)); err != nil {
				return err
			}
			d, err := c.prepare(cmd.Context(), args, v1alpha1.Decision{Verdict: verdict, Method: method, Justification: reason})
			if err != nil {
				return err
			}
			evidence := output{format: formatTable}
			if err := evidence.print(c.streams.ErrOut, d); err != nil {
				return err
			}
			if err := c.confirm(cmd.Context(), strings.ToUpper(word[:1])+word[1:]+" it?", yes); err != nil {
				return err
			}
			if err := c.decide(cmd.Context(), d); err != nil {
				return err
			}
			d.done = true
			return out.print(c.streams.Out, d)
		},
	}
	out.addFlags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "justification of the decision, for the audit trail; required")
	cmd.Flags().StringVar(&method, "method", "console", "how the decision was made: console, slack or api")
	addYes(cmd, &yes)
	return cmd
}

func addYes(cmd *cobra.Command, yes *bool) {
	cmd.Flags().BoolVarP(yes, "yes", "y", false, "do not ask")
}

// maxReason is what the field takes.
const maxReason = 4096

func checkReason(reason string) error {
	if n := len([]rune(reason)); strings.TrimSpace(reason) == "" || n > maxReason {
		return fmt.Errorf("--reason has %d characters, expected 1 to %d: why you decide so, for the audit trail", n, maxReason)
	}
	return nil
}

func checkMethod(method string) error {
	if methods := []string{"console", "slack", "api"}; !slices.Contains(methods, method) {
		return fmt.Errorf("--method is %q, expected %s", method, orList(methods))
	}
	return nil
}

// prepare reads the case, and checks what can be checked before somebody is asked.
func (c *cluster) prepare(ctx context.Context, args []string, as v1alpha1.Decision) (*decision, error) {
	r, err := c.ownArgs(ctx, analyses, args)
	if err != nil {
		return nil, err
	}
	a, err := typed[v1alpha1.AIAnalysis](r)
	if err != nil {
		return nil, err
	}
	if why := undecided(a); why != "" {
		return nil, fmt.Errorf("%s takes no decision: %s; `%s` shows what waits for one", r.ref(), why, c.verb("approvals -n "+quoted(r.Namespace)))
	}
	if err := c.mayDecide(ctx, a); err != nil {
		return nil, err
	}
	me, err := c.clientset.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return nil, fmt.Errorf("ask the cluster who you are: %w", err)
	}
	d := &decision{
		proposal: *proposalOf(a), RootCause: a.Status.RootCause, Evidence: a.Status.Evidence, Alternatives: a.Status.Alternatives,
		Verdict: as.Verdict, DecidedBy: me.Status.UserInfo.Username, Method: as.Method, Justification: as.Justification,
	}
	d.Action, d.Rationale, d.Steps = d.recommendation.Action, d.recommendation.Rationale, stepsOf(d.recommendation)
	k, err := c.kindOf(requests + "." + ownGroup)
	if err != nil {
		return nil, err
	}
	owner, err := c.read(ctx, k, a.Namespace, a.Spec.RemediationRef.Name)
	if err != nil || owner.UID != a.Spec.RemediationRef.UID {
		return nil, fmt.Errorf("%s: its request %q could not be read, so nobody knows which account the steps run as: %w", r.ref(), a.Spec.RemediationRef.Name, errors.Join(err, errAnotherUID(owner)))
	}
	rr, err := typed[v1alpha1.RemediationRequest](owner)
	if err != nil {
		return nil, err
	}
	d.ServiceAccount = rr.Spec.ServiceAccountName
	return d, nil
}

func errAnotherUID(r *resource) error {
	if r == nil {
		return nil
	}
	return errors.New("the request of that name has another uid")
}

// mayDecide refuses what the cluster or the controller would refuse later: a decision that is refused can't be repeated.
func (c *cluster) mayDecide(ctx context.Context, a *v1alpha1.AIAnalysis) error {
	verb, err := c.refusedVerb(ctx, a.Namespace, a.Name)
	if err != nil {
		return err
	}
	if verb != "" {
		return fmt.Errorf("you may not %s aianalyses in the namespace %q; somebody who may can bind you to the role: %s create rolebinding NAME --clusterrole=%s --user=YOU -n %s",
			verb, a.Namespace, c.kubectl(), approverRole, quoted(a.Namespace))
	}
	_, err = c.clientset.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Get(ctx, approvalPolicy, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("the ValidatingAdmissionPolicyBinding %s is not installed: the controller would refuse the decision for good; install config/admission (kubectl apply -k config/admission --server-side)", approvalPolicy)
	}
	return nil // who decides need not be allowed to read policies
}

// approvalPolicy makes sure who decides.
const approvalPolicy = "holdfast-approval"

// operation of a JSON patch.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// decide writes the decision, if the analysis still is what was shown.
func (c *cluster) decide(ctx context.Context, d *decision) error {
	k, err := c.kindOf(analyses + "." + ownGroup)
	if err != nil {
		return err
	}
	return c.patch(ctx, k, d.Namespace, d.Name,
		operation{"test", "/metadata/uid", d.UID},
		operation{"test", "/status/phase", v1alpha1.AnalysisAwaitingApproval},
		operation{"test", "/status/recommendation", d.recommendation},
		operation{"add", "/spec/decision", v1alpha1.Decision{Verdict: d.Verdict, DecidedBy: d.DecidedBy, Method: d.Method, Justification: d.Justification}})
}

func (c *cluster) patch(ctx context.Context, k kind, namespace, name string, operations ...operation) error {
	text, err := json.Marshal(operations)
	if err != nil {
		return fmt.Errorf("write the patch: %w", err)
	}
	err = c.clientset.Discovery().RESTClient().Patch(types.JSONPatchType).AbsPath(k.path(namespace), name).Body(text).Do(ctx).Error()
	switch {
	case err != nil && apiserver.FailedTest(err):
		return fmt.Errorf("%s/%s changed after it was shown, so nothing was done; run the command again", k, name)
	case err != nil:
		return fmt.Errorf("change %s/%s: %w", k, name, err)
	}
	return nil
}
