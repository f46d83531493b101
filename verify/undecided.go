package verify

import (
	"context"
	"fmt"

	"github.com/holdfast-dev/holdfast/outbox"
)

// undecided finds remediations that acted without a decision. An analysis whose entries are not in the store yet may have it, so what is found is looked for once more, after
// a new look at what is pending: an entry is in the resource until it is durable.
func (v *verifier) undecided(ctx context.Context) error {
	found, err := v.store.Undecided(ctx)
	if err != nil || len(found) == 0 {
		return err
	}
	pending := map[string]bool{} // namespaces with analyses that have entries
	if v.live != nil {
		live, _, err := v.live.List(ctx)
		if err != nil {
			return fmt.Errorf("list the live analyses again: %w", err)
		}
		for _, r := range live {
			if r.Kind == outbox.KindAIDecision && len(r.Entries) > 0 {
				pending[r.Namespace] = true
			}
		}
	}
	if found, err = v.store.Undecided(ctx); err != nil {
		return err
	}
	for _, u := range found {
		if u.SourceCluster == v.cluster && pending[u.SourceNamespace] {
			continue
		}
		did := "invoked a workflow"
		if u.Outcome != "" {
			did += " and ended as " + u.Outcome
		}
		v.tell(Finding{Problem: Undecided, Table: "orchestration_audit", ID: u.ID, Cluster: u.SourceCluster, Namespace: u.SourceNamespace, Name: u.SourceName, UID: u.SourceUID, Sequence: u.Sequence,
			Detail: "the remediation " + did + ", but no analysis with an approval is in its trail: somebody got round the decision, or its rows are missing"})
	}
	return nil
}
