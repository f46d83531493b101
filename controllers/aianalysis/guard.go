package aianalysis

import (
	"context"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"

	"github.com/holdfast-dev/holdfast/controllers/internal/guard"
)

// GuardPolicy names the ValidatingAdmissionPolicy, and its binding, that make sure who decides.
const GuardPolicy = "holdfast-approval"

var decisions = guard.Policy{Name: GuardPolicy, Resource: "aianalyses", Texts: []string{"request.userInfo.username", "decidedBy", "approve"},
	Lacks: "does not compare decidedBy with request.userInfo.username or does not check the verb approve"}

// unguarded says why nobody makes sure that a decision was made by whom it names, "" if the policy is in force.
func (r *Reconciler) unguarded(ctx context.Context) (string, error) {
	problem, err := decisions.Problem(ctx, r.live, time.Time{})
	return advice(problem), err
}

func advice(problem string) string {
	if problem == "" {
		return ""
	}
	return "The decision is ignored, because nothing verified who made it: " + problem + ". Install config/admission, then cancel the request and create it again."
}

// weakness says how a decision can pass that nobody has checked, "" if policy and binding are in force.
func weakness(p *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) string {
	return advice(decisions.Weakness(p, b))
}
