package storageapi

import (
	"context"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/serving"
)

// DefaultAudience is what callers' tokens are made for: `kubectl create token NAME --audience holdfast-storage`. A token for this service is of no use
// elsewhere, and one for the API server, as every Pod has it, is of no use here.
const DefaultAudience = "holdfast-storage"

// Why a caller is not let in: 401, 403 and 503.
var (
	ErrUnauthenticated = serving.ErrUnauthenticated
	ErrForbidden       = serving.ErrForbidden
	ErrUnavailable     = serving.ErrUnavailable
)

// Caller is who posts records.
type Caller struct {
	// Name is what the row's recorded_by says, as in system:serviceaccount:shop:auditor.
	Name string
	// MayRelay lets the caller claim a record's origin.
	MayRelay bool
}

// Authorizer says who has a bearer token. Its errors are ErrUnauthenticated, ErrForbidden or ErrUnavailable, with a reason that may be shown to the caller
// for the first two and is the operator's for the last.
type Authorizer interface {
	Authorize(ctx context.Context, bearer string) (Caller, error)
}

// AuthOptions of a Kubernetes authorizer. Audience, if empty, is DefaultAudience; Needs and Asks are set by NewKubernetesAuthorizer.
type AuthOptions = serving.Options

type kubernetesAuthorizer struct{ reviewer *serving.Reviewer }

// NewKubernetesAuthorizer makes an Authorizer that asks the API server: TokenReview for an audience, then SubjectAccessReview on `create` (without which nobody is
// let in) and `relay` of auditrecords.holdfast.dev, which exist in roles only. Answers are remembered, see package serving.
func NewKubernetesAuthorizer(cfg *rest.Config, o AuthOptions) (Authorizer, error) {
	if o.Audience == "" {
		o.Audience = DefaultAudience
	}
	o.Needs, o.Asks = auditRecords("create"), []serving.Right{auditRecords("relay")}
	reviewer, err := serving.NewReviewer(cfg, o)
	if err != nil {
		return nil, err
	}
	return &kubernetesAuthorizer{reviewer: reviewer}, nil
}

// auditRecords is a right on all of them: they are in no namespace, hence it comes by a ClusterRoleBinding only.
func auditRecords(verb string) serving.Right {
	return serving.Right{Resource: &authorizationv1.ResourceAttributes{Group: "holdfast.dev", Resource: "auditrecords", Verb: verb}}
}

// Authorize implements Authorizer.
func (a *kubernetesAuthorizer) Authorize(ctx context.Context, bearer string) (Caller, error) {
	verdict, err := a.reviewer.Review(ctx, bearer)
	if err != nil {
		return Caller{}, err
	}
	return Caller{Name: verdict.User, MayRelay: verdict.May[0]}, nil
}

// Anonymous is the name of every caller of NoAuth.
const Anonymous = "anonymous"

// NoAuth takes every caller as anonymous, who may do everything. For loopback only.
type NoAuth struct{}

// Authorize implements Authorizer.
func (NoAuth) Authorize(context.Context, string) (Caller, error) {
	return Caller{Name: Anonymous, MayRelay: true}, nil
}
