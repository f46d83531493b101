package serving

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
)

// rightsPerToken is how many answers of May are kept for each token that is.
const rightsPerToken = 8

// userKey stands for a user with all that the API server is told of them.
type userKey [sha256.Size]byte

// rightKey stands for a right of a user in the cache. A user makes any number of tokens, which have the same rights.
type rightKey struct {
	user  userKey
	right authorizationv1.ResourceAttributes
}

func (k *rightKey) String() string { return fmt.Sprintf("%x %v", k.user, k.right) }

// tokenExtra is what the API server says of a service account's token beside the user: the id of the very token.
const tokenExtra = "authentication.kubernetes.io/credential-id"

// withoutToken is a user without what is said of their token, which no right depends on.
func withoutToken(user *authenticationv1.UserInfo) authenticationv1.UserInfo {
	bare := *user
	bare.Extra = maps.Clone(user.Extra)
	delete(bare.Extra, tokenExtra)
	return bare
}

func keyOf(user *authenticationv1.UserInfo) (userKey, error) {
	text, err := json.Marshal(user)
	if err != nil {
		return userKey{}, fmt.Errorf("%w: the user has no key: %w", ErrUnavailable, err)
	}
	return sha256.Sum256(text), nil
}

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
		release, err := r.turns.takeOf(ctx, Tenant(v.User))
		if err != nil {
			return false, err
		}
		defer release()
		if may, ok := r.rights.Get(key); ok { // of a review that ended meanwhile
			return may, nil
		}
		begin := r.options.Clock.Now()
		may, err := r.may(ctx, &v.asks, Right{Resource: &right})
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

// Remembered is an answer of May that is remembered, without asking anybody. known is false without one.
func (r *Reviewer) Remembered(token string, right authorizationv1.ResourceAttributes) (may, known bool) {
	v, ok := r.allowed.Get(r.hash.of(token))
	if !ok {
		return false, false
	}
	answer, known := r.rights.Get(rightKey{v.(reviewed).key, right})
	may, _ = answer.(bool)
	return may, known
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
