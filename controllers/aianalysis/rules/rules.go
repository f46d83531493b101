package rules

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Name of this investigator, as resources and audit records have it.
const Name = "rules"

// Rules is the investigator. It has no state: one serves all.
type Rules struct {
	live  client.Reader
	clock clock.PassiveClock
}

// Option changes a default.
type Option func(*Rules)

// WithClock replaces the system's clock.
func WithClock(c clock.PassiveClock) Option { return func(r *Rules) { r.clock = c } }

// New makes the investigator. live reads from the API server, not from a cache (a manager's GetAPIReader).
func New(live client.Reader, options ...Option) *Rules {
	r := &Rules{live: live, clock: clock.RealClock{}}
	for _, o := range options {
		o(r)
	}
	return r
}

// Name is Name.
func (r *Rules) Name() string { return Name }

// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets;daemonsets,verbs=get
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=list
// +kubebuilder:rbac:groups="",resources=pods;events,verbs=list

// Investigate gathers and decides. Errors are the API server's.
func (r *Rules) Investigate(ctx context.Context, q investigator.Request) (investigator.Finding, error) {
	f, err := r.gather(ctx, q)
	if err != nil {
		return investigator.Finding{}, fmt.Errorf("investigate %s %s/%s: %w", q.Target.Kind, q.Namespace, q.Target.Name, err)
	}
	finding := diagnose(f, r.clock.Now())
	finding.Evidence = f.looked()
	return finding, nil
}
