package serving

import (
	"context"
	"fmt"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
)

// rightsPerToken is how many answers of May are kept for each token that is.
const rightsPerToken = 8

// rightKey stands for a right of a token's user in the cache.
type rightKey struct {
	token tokenKey
	right authorizationv1.ResourceAttributes
}

func (k *rightKey) String() string { return fmt.Sprintf("%x %v", k.token, k.right) }

// May says whether somebody who is let in has a right on resources: a remembered answer, else the API server's. Its errors are those of Review. An answer counts as long as one of Review
// does, so a right is lost at most Options.AllowedFor late.
func (r *Reviewer) May(ctx context.Context, token string, right authorizationv1.ResourceAttributes) (bool, error) {
	v, err := r.review(ctx, token)
	if err != nil {
		return false, err
	}
	key := rightKey{v.key, right}
	if may, ok := r.rights.Get(key); ok {
		return may.(bool), nil
	}
	answer := r.inFlight.DoChan(key.String(), func() (any, error) { //nolint:contextcheck // others wait for the same answer
		ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
		defer cancel()
		select {
		case r.turns <- struct{}{}:
			defer func() { <-r.turns }()
		case <-ctx.Done():
			return false, fmt.Errorf("%w: too many token reviews are in progress", ErrUnavailable)
		}
		begin := r.options.Clock.Now()
		may, err := r.may(ctx, v.user, Right{Resource: &right})
		if err != nil {
			return false, err
		}
		r.rememberRight(key, may, begin)
		return may, nil
	})
	select {
	case result := <-answer:
		may, _ := result.Val.(bool)
		return may, result.Err
	case <-ctx.Done():
		return false, fmt.Errorf("%w: the request ended before the API server answered: %w", ErrUnavailable, ctx.Err())
	}
}

func (r *Reviewer) rememberRight(key rightKey, may bool, begin time.Time) {
	lasts := r.options.RefusedFor
	if may {
		lasts = r.options.AllowedFor
	}
	if left := begin.Add(lasts).Sub(r.options.Clock.Now()); left > 0 {
		r.rights.Add(key, may, left)
	}
}
