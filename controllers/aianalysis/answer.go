package aianalysis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// answer is how one attempt ended: a finding, or an error.
type answer struct {
	finding investigator.Finding
	// workload is the target that the recommendation is for; nil if there is none.
	workload       *investigator.Workload
	err            error
	started, ended time.Time
}

// answerTo asks the investigator, within the attempt's timeout. It runs in the pool.
func (r *Reconciler) answerTo(ctx context.Context, q investigator.Request, timeout time.Duration) answer {
	a := answer{started: r.clock.Now()}
	a.finding, a.err = r.investigator.Investigate(ctx, q)
	a.ended = r.clock.Now()
	if a.err == nil && a.finding.Recommendation != nil {
		a.workload, a.err = investigator.ReadWorkload(ctx, r.live, q.Namespace, q.Target)
	}
	if a.err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		a.err = fmt.Errorf("no answer within %s: %w", timeout.Round(time.Millisecond), a.err)
	}
	return a
}
