package serving

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/singleflight"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
)

// Why somebody is not let in.
var (
	ErrUnauthenticated = errors.New("unauthenticated")
	ErrForbidden       = errors.New("forbidden")
	ErrUnavailable     = errors.New("authentication is not available")
)

// longestToken: longer ones are refused unseen. Those of Kubernetes have one to two kilobytes.
const longestToken = 16 << 10

// Right is something that a user may be allowed to do; one of the two is set.
type Right struct {
	Resource *authorizationv1.ResourceAttributes
	Path     *authorizationv1.NonResourceAttributes
}

func (r Right) String() string {
	if r.Path != nil {
		return r.Path.Verb + " " + r.Path.Path
	}
	return r.Resource.Verb + " " + r.Resource.Resource + "." + r.Resource.Group
}

// Options of a Reviewer. What is zero has the default.
type Options struct {
	// Audience that tokens must have been made for. "" takes the API server's own, as every ordinary service account token has it.
	Audience string
	// Needs is the right that a caller must have. With Anybody there is none: whoever has a token is let in, and what they may do is asked with May.
	Needs   Right
	Anybody bool
	// Asks are further rights. A verdict says which of them the caller has.
	Asks []Right

	// AllowedFor is how long a positive answer counts, 1 min; RefusedFor a negative one, 10 s.
	AllowedFor, RefusedFor time.Duration
	// Remembered is how many answers of each sort are kept, 4096; the least recently used go first.
	Remembered int
	// Concurrent is how many reviews are under way at once, 32. Others wait for their turn.
	Concurrent int
	// Timeout of a review with all its questions and the wait for its turn, 5 s.
	Timeout time.Duration
	// Clock that answers age by.
	Clock clock.PassiveClock
}

func (o *Options) setDefaults() {
	for _, d := range []struct {
		of    *time.Duration
		value time.Duration
	}{{&o.AllowedFor, time.Minute}, {&o.RefusedFor, 10 * time.Second}, {&o.Timeout, 5 * time.Second}} {
		if *d.of == 0 {
			*d.of = d.value
		}
	}
	if o.Remembered == 0 {
		o.Remembered = 4096
	}
	if o.Concurrent == 0 {
		o.Concurrent = 32
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
}

func (o *Options) validate() error {
	if o.AllowedFor < 0 || o.RefusedFor < 0 || o.Timeout < 0 || o.Remembered < 0 || o.Concurrent < 0 {
		return errors.New("token reviews: durations and sizes must not be negative")
	}
	asked := o.Asks
	if !o.Anybody {
		asked = append([]Right{o.Needs}, asked...)
	}
	for _, right := range asked {
		if (right.Resource == nil) == (right.Path == nil) {
			return errors.New("token reviews: a right has either a resource or a path, expected exactly one")
		}
	}
	return nil
}

// Verdict on a caller who is let in.
type Verdict struct {
	// User is the name that the API server knows them by.
	User string
	// May says of each of Options.Asks, in its order, whether they have that right.
	May []bool
}

// reviewed is a Verdict, and on whom. asks is the user that May asks about, and key stands for it.
type reviewed struct {
	Verdict
	asks authenticationv1.UserInfo
	key  userKey
}

// Reviewer reviews tokens. Its methods may be called from several goroutines.
type Reviewer struct {
	options  Options
	client   kubernetes.Interface
	hash     tokenHash
	allowed  *cache.LRUExpireCache // tokenKey → reviewed
	refused  *cache.LRUExpireCache // tokenKey → error
	rights   *cache.LRUExpireCache // rightKey → bool
	inFlight singleflight.Group
	turns    *turns
}

// NewReviewer makes a Reviewer. The account of cfg needs the right to create tokenreviews.authentication.k8s.io and
// subjectaccessreviews.authorization.k8s.io.
func NewReviewer(cfg *rest.Config, o Options) (*Reviewer, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	o.setDefaults()
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // Concurrent is the limit
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("token reviews: create a client: %w", err)
	}
	return &Reviewer{
		options: o, client: client, hash: newTokenHash(), turns: newTurns(o.Concurrent),
		allowed: cache.NewLRUExpireCacheWithClock(o.Remembered, o.Clock),
		refused: cache.NewLRUExpireCacheWithClock(o.Remembered, o.Clock),
		rights:  cache.NewLRUExpireCacheWithClock(o.Remembered*rightsPerToken, o.Clock),
	}, nil
}

// Review says who has the token and what they may do: a remembered answer, else the API server's. Its error is one of ErrUnauthenticated,
// ErrForbidden and ErrUnavailable, with the reason; when ctx ends first it is the last.
func (r *Reviewer) Review(ctx context.Context, token string) (Verdict, error) {
	v, err := r.review(ctx, token)
	return v.Verdict, err
}

func (r *Reviewer) review(ctx context.Context, token string) (reviewed, error) {
	if token == "" || len(token) > longestToken {
		return reviewed{}, r.unauthenticated()
	}
	key := r.hash.of(token)
	if v, err, ok := r.remembered(key); ok {
		return v, err
	}
	answer := r.inFlight.DoChan(string(key[:]), func() (any, error) { //nolint:contextcheck // others wait for the same answer
		if v, err, ok := r.remembered(key); ok { // of a review that ended meanwhile
			return v, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), r.options.Timeout)
		defer cancel()
		begin := r.options.Clock.Now() // rights may change while they are asked for
		v, err := r.ask(ctx, token)
		r.remember(key, token, begin, v, err)
		return v, err
	})
	select {
	case result := <-answer:
		v, _ := result.Val.(reviewed)
		return v, result.Err
	case <-ctx.Done():
		return reviewed{}, fmt.Errorf("%w: the request ended before the API server answered: %w", ErrUnavailable, ctx.Err())
	}
}

func (r *Reviewer) remembered(key tokenKey) (reviewed, error, bool) { //nolint:revive // ok comes last, as in a map's read
	if v, ok := r.allowed.Get(key); ok {
		return v.(reviewed), nil, true
	}
	if err, ok := r.refused.Get(key); ok {
		return reviewed{}, err.(error), true
	}
	return reviewed{}, nil, false
}

func (r *Reviewer) remember(key tokenKey, token string, begin time.Time, v reviewed, err error) {
	now := r.options.Clock.Now()
	switch {
	case err == nil:
		until := begin.Add(r.options.AllowedFor)
		if expires, ok := expiry(token); ok && expires.Before(until) {
			until = expires.Add(-1) // at that moment it is not valid any more
		}
		if until.After(now) {
			r.refused.Remove(key)
			r.allowed.Add(key, v, until.Sub(now))
		}
	case errors.Is(err, ErrUnavailable):
	default:
		r.refused.Add(key, err, r.options.RefusedFor)
	}
}

// ask asks the API server: whose token, then what they may do.
func (r *Reviewer) ask(ctx context.Context, token string) (reviewed, error) {
	release, err := r.turns.take(ctx)
	if err != nil {
		return reviewed{}, err
	}
	defer release()
	user, err := r.authenticate(ctx, token)
	if err != nil {
		return reviewed{}, err
	}
	if needs := r.options.Needs; !r.options.Anybody {
		may, err := r.may(ctx, user, needs)
		if err != nil {
			return reviewed{}, err
		}
		if !may {
			return reviewed{}, fmt.Errorf("%w: %s does not have permission to %s", ErrForbidden, user.Username, needs)
		}
	}
	v := reviewed{Verdict: Verdict{User: user.Username, May: make([]bool, len(r.options.Asks))}, asks: withoutToken(user)}
	if v.key, err = keyOf(&v.asks); err != nil {
		return reviewed{}, err
	}
	for i, right := range r.options.Asks {
		if v.May[i], err = r.may(ctx, user, right); err != nil {
			return reviewed{}, err
		}
	}
	return v, nil
}

// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

func (r *Reviewer) authenticate(ctx context.Context, token string) (*authenticationv1.UserInfo, error) {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	if r.options.Audience != "" {
		review.Spec.Audiences = []string{r.options.Audience}
	}
	answer, err := again(func() (*authenticationv1.TokenReview, error) {
		return r.client.AuthenticationV1().TokenReviews().Create(ctx, review, metav1.CreateOptions{})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: TokenReview: %w", ErrUnavailable, err)
	}
	// Status.Error is left out: it may quote the token's claims. An authenticator that does not know audiences names none: then the token was
	// not checked for ours.
	forUs := r.options.Audience == "" || slices.Contains(answer.Status.Audiences, r.options.Audience)
	if !answer.Status.Authenticated || answer.Status.User.Username == "" || !forUs {
		return nil, r.unauthenticated()
	}
	return &answer.Status.User, nil
}

func (r *Reviewer) unauthenticated() error {
	if r.options.Audience == "" {
		return fmt.Errorf("%w: expected a bearer token that the cluster accepts", ErrUnauthenticated)
	}
	return fmt.Errorf("%w: expected a bearer token that the cluster accepts for the audience %q", ErrUnauthenticated, r.options.Audience)
}

func (r *Reviewer) may(ctx context.Context, user *authenticationv1.UserInfo, right Right) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: make(map[string]authorizationv1.ExtraValue, len(user.Extra)),
		ResourceAttributes: right.Resource, NonResourceAttributes: right.Path,
	}}
	for key, value := range user.Extra {
		review.Spec.Extra[key] = authorizationv1.ExtraValue(value)
	}
	answer, err := again(func() (*authorizationv1.SubjectAccessReview, error) {
		return r.client.AuthorizationV1().SubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	})
	if err != nil {
		return false, fmt.Errorf("%w: SubjectAccessReview: %w", ErrUnavailable, err)
	}
	return answer.Status.Allowed && !answer.Status.Denied, nil
}

// again repeats a question once when the connection broke on the way, as the idle ones do when an API server restarts. Reviews change nothing, which
// net/http can't know of a POST.
func again[T any](question func() (T, error)) (T, error) {
	answer, err := question()
	if err != nil && (utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err)) {
		return question()
	}
	return answer, err
}
