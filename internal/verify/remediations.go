package verify

import (
	"context"
	"fmt"

	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// remediations holds the chains of one remediation against each other: what it says that it invoked has a chain, and what it did was decided on. Entries that are not in the store yet may
// be what is missing, so what is found is looked for once more, after a new look at what is pending: an entry is in its resource until it is durable.
func (v *verifier) remediations(ctx context.Context) error {
	found, err := v.store.Incomplete(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	pending, err := v.pending(ctx)
	if err != nil {
		return err
	}
	if found, err = v.store.Incomplete(ctx); err != nil {
		return err
	}
	for _, r := range found {
		if (r.SourceCluster == v.options.Cluster || v.options.Cluster == "") && pending[pendingOf{kindOf[r.Service], r.SourceNamespace, r.RemediationID}] {
			continue
		}
		at := Finding{Problem: Missing, Table: "orchestration_audit", ID: r.ID, Cluster: r.SourceCluster, Namespace: r.SourceNamespace, Name: r.SourceName, UID: r.SourceUID, Sequence: r.Sequence,
			Detail: fmt.Sprintf("the remediation invoked %s, but its trail has no row and no dead letter of it", r.Service)}
		if r.Undecided {
			did := "invoked a workflow"
			if r.Outcome != "" {
				did += " and ended with outcome " + r.Outcome
			}
			at.Problem, at.Detail = Undecided, "the remediation "+did+", but its trail has no approved analysis; the approval was bypassed, or its rows are missing"
		}
		v.tell(at.and(r.RemediationID, r.Service, r.Outcome))
	}
	return nil
}

// kindOf is the kind of the entries of each service.
var kindOf = map[string]string{
	postgres.ServiceAIAnalysis: entry.KindAIDecision, postgres.ServiceWorkflowExecution: entry.KindExecution, postgres.ServiceNotification: entry.KindNotification,
}

// pendingOf is a kind of entries that belong to a remediation.
type pendingOf struct{ kind, namespace, remediation string }

// pending are remediations with entries in a live resource.
func (v *verifier) pending(ctx context.Context) (map[pendingOf]bool, error) {
	pending := map[pendingOf]bool{}
	if v.live == nil {
		return pending, nil
	}
	live, _, err := v.live.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list live resources again: %w", err)
	}
	for _, r := range live {
		for _, remediation := range r.Remediations {
			pending[pendingOf{r.Kind, r.Namespace, remediation}] = true
		}
	}
	return pending, nil
}
