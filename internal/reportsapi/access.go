package reportsapi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/serving"
	"github.com/holdfast-dev/holdfast/postgres"
)

// DefaultAudience is what callers' tokens are made for: `kubectl create token NAME --audience holdfast-reports`.
const DefaultAudience = "holdfast-reports"

// Verbs on remediationreports.holdfast.dev, which exist in roles only.
const (
	verbGet  = "get"
	verbList = "list"
)

// Caller is who reads, and what they may see.
type Caller struct {
	Name     string
	Readable postgres.Readable
}

// Authorizer says who has a bearer token, and which rows they may see with a verb: of the namespaces, if some are named. Its errors are serving.ErrUnauthenticated, ErrManyNamespaces and
// serving.ErrUnavailable, with a reason that may be shown to the caller for the first two and is the operator's for the last.
type Authorizer interface {
	// Authenticate says who has a token. It comes first: a caller's rate bounds what Authorize asks.
	Authenticate(ctx context.Context, bearer string) (name string, err error)
	Authorize(ctx context.Context, bearer, verb string, namespaces []string) (Caller, error)
	// Unnamed is about how many namespaces Authorize may ask if none is named. It asks nobody.
	Unnamed(bearer, verb string) int
}

// ErrManyNamespaces says that a caller has to name namespaces, since there are too many to ask about each.
var ErrManyNamespaces = errors.New("too many namespaces to ask about each")

// AccessOptions of a Kubernetes authorizer.
type AccessOptions struct {
	// Audience is DefaultAudience unless it is set.
	Audience string
	// Cluster is source_cluster of this cluster's rows.
	Cluster string
	// Reviews is how many namespaces one request may ask about, 200.
	Reviews int
}

const (
	defaultReviews = 200
	// reviewsAtOnce are those of one request.
	reviewsAtOnce = 8
	// rememberRefusedFor is longer than the default: a caller is asked about many namespaces, and has a right in few.
	rememberRefusedFor = 30 * time.Second
)

type kubernetesAuthorizer struct {
	reviewer   *serving.Reviewer
	namespaces metadata.Getter
	options    AccessOptions
	// count is how many namespaces there were, up to Reviews.
	count atomic.Int64
}

// NewKubernetesAuthorizer makes an Authorizer that asks the API server: TokenReview for an audience, SubjectAccessReviews for each namespace, and when each was made. Answers about
// rights are remembered for up to a minute, see package serving; when a namespace was made is not.
//
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list
func NewKubernetesAuthorizer(cfg *rest.Config, o AccessOptions) (Authorizer, error) {
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	if o.Reviews == 0 {
		o.Reviews = defaultReviews
	}
	if o.Reviews < 0 {
		return nil, fmt.Errorf("reviews a request: %d, expected 1 or more", o.Reviews)
	}
	reviewer, err := serving.NewReviewer(cfg, serving.Options{Audience: o.Audience, Anybody: true, RefusedFor: rememberRefusedFor})
	if err != nil {
		return nil, err
	}
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // the gate is the limit
	client, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make a client for namespaces: %w", err)
	}
	a := &kubernetesAuthorizer{reviewer: reviewer, namespaces: client.Resource(corev1.SchemeGroupVersion.WithResource("namespaces")), options: o}
	a.count.Store(int64(o.Reviews))
	return a, nil
}

// Authenticate implements Authorizer.
func (a *kubernetesAuthorizer) Authenticate(ctx context.Context, bearer string) (string, error) {
	verdict, err := a.reviewer.Review(ctx, bearer)
	return verdict.User, err
}

// Authorize implements Authorizer.
func (a *kubernetesAuthorizer) Authorize(ctx context.Context, bearer, verb string, namespaces []string) (Caller, error) {
	verdict, err := a.reviewer.Review(ctx, bearer)
	if err != nil {
		return Caller{}, err
	}
	caller := Caller{Name: verdict.User}
	if caller.Readable.Everything, err = a.reviewer.May(ctx, bearer, right(verb, "")); err != nil || caller.Readable.Everything {
		return caller, err
	}
	caller.Readable.Cluster = a.options.Cluster
	caller.Readable.Since, err = a.allowed(ctx, bearer, verb, namespaces)
	return caller, err
}

// Unnamed implements Authorizer.
func (a *kubernetesAuthorizer) Unnamed(bearer, verb string) int {
	if all, known := a.reviewer.Remembered(bearer, right(verb, "")); known && all {
		return 0
	}
	return int(a.count.Load())
}

func right(verb, namespace string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "remediationreports", Verb: verb, Namespace: namespace}
}

// allowed are the live namespaces in which the caller has the right, and when each was made. That is asked last: a namespace that was made again while its right was reviewed counts as the
// new one.
func (a *kubernetesAuthorizer) allowed(ctx context.Context, bearer, verb string, named []string) (map[string]time.Time, error) {
	names := named
	if named == nil {
		live, err := a.live(ctx)
		if err != nil {
			return nil, err
		}
		for name := range live {
			names = append(names, name)
		}
	} else if len(named) > a.options.Reviews {
		return nil, fmt.Errorf("%w: %d are named, expected at most %d", ErrManyNamespaces, len(named), a.options.Reviews)
	}
	may := make([]bool, len(names))
	together, asking := errgroup.WithContext(ctx)
	together.SetLimit(reviewsAtOnce)
	for i, name := range names {
		together.Go(func() (err error) {
			may[i], err = a.reviewer.May(asking, bearer, right(verb, name))
			return err
		})
	}
	if err := together.Wait(); err != nil {
		return nil, err
	}
	var readable []string
	for i, name := range names {
		if may[i] {
			readable = append(readable, name)
		}
	}
	since := map[string]time.Time{}
	if len(readable) == 0 {
		return since, nil
	}
	if named != nil {
		return a.made(ctx, readable)
	}
	live, err := a.live(ctx)
	for _, name := range readable {
		if at, ok := live[name]; ok {
			since[name] = at
		}
	}
	return since, err
}

// made says when each of some namespaces was made, of those that are there.
func (a *kubernetesAuthorizer) made(ctx context.Context, named []string) (map[string]time.Time, error) {
	at := map[string]time.Time{}
	for _, name := range named {
		ns, err := a.namespaces.Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return nil, fmt.Errorf("%w: get namespace %s: %w", serving.ErrUnavailable, name, err)
		default:
			at[name] = ns.CreationTimestamp.Time
		}
	}
	return at, nil
}

// live are all namespaces, and when each was made.
func (a *kubernetesAuthorizer) live(ctx context.Context) (map[string]time.Time, error) {
	list, err := a.namespaces.List(ctx, metav1.ListOptions{Limit: int64(a.options.Reviews) + 1})
	if err != nil {
		return nil, fmt.Errorf("%w: list namespaces: %w", serving.ErrUnavailable, err)
	}
	a.count.Store(int64(min(len(list.Items), a.options.Reviews)))
	if len(list.Items) > a.options.Reviews {
		return nil, fmt.Errorf("%w: the cluster has more than %d", ErrManyNamespaces, a.options.Reviews)
	}
	at := map[string]time.Time{}
	for _, ns := range list.Items {
		at[ns.Name] = ns.CreationTimestamp.Time
	}
	return at, nil
}

// Anonymous is the name of every caller of NoAuth.
const Anonymous = "anonymous"

// NoAuth takes every caller as anonymous, who may see everything. For loopback only.
type NoAuth struct{}

// Authenticate implements Authorizer.
func (NoAuth) Authenticate(context.Context, string) (string, error) { return Anonymous, nil }

// Authorize implements Authorizer.
func (NoAuth) Authorize(context.Context, string, string, []string) (Caller, error) {
	return Caller{Name: Anonymous, Readable: postgres.Readable{Everything: true}}, nil
}

// Unnamed implements Authorizer.
func (NoAuth) Unnamed(string, string) int { return 0 }
