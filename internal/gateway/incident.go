package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// maxTries bounds how many names are tried. Each one that is taken tells of a request that the ledger did not have.
const maxTries = 20

// duplicateLasts is how long a request that is marked as a duplicate may take to end. Anybody of the namespace can mark one and keep it from ending. That is no reason to have Alertmanager send a
// message again and again, which others share.
const duplicateLasts = time.Minute

// policyName is the admission policy that compares accounts with the creator's rights; its refusals name it.
const policyName = "holdfast-impersonation"

// ensure sees to it that an incident has an open request, or says why it makes none. An error means that it is not known, and the alert has to come again. rule is asked only for a new request.
func (s *Server) ensure(ctx context.Context, n incident, a *alert, rule func() *Rule) (Outcome, error) {
	h := s.ledger.history(n)
	for _, name := range h.open { // the ledger may be late: they count only if they are still open
		live, err := s.read(ctx, n.namespace, name)
		if err != nil {
			return Outcome{}, err
		}
		switch k := knownOfOrNone(live); {
		case !k.is(n):
		case k.finished || k.duplicate:
			h.add(k)
			s.ledger.ended(n.namespace, k)
		default:
			return Outcome{Result: open, Request: name}, nil
		}
	}
	for range maxTries {
		if why := h.over(a.StartsAt, s.now()); why != "" {
			return Outcome{Result: ended, Request: h.ended, Detail: why}, nil
		}
		name := n.requestName(h.last)
		if !s.ledger.reserve(n, name, s.config.Limits.OpenRequests) {
			s.events.limit(n.namespace, s.config.Limits.OpenRequests)
			return Outcome{Result: limited, Detail: fmt.Sprintf("namespace %s has %d open requests, as many as --max-open-requests allows; the alert is taken when it is repeated and one of them has ended",
				n.namespace, s.config.Limits.OpenRequests)}, nil
		}
		rr := requestOf(n, name, a, rule(), s.now())
		err := s.config.Client.Create(ctx, rr)
		if err == nil {
			return s.confirm(ctx, n, rr)
		}
		if !apierrors.IsAlreadyExists(err) {
			s.ledger.forget(n.namespace, name, "")
			return s.refusal(n, rr, err)
		}
		live, err := s.read(ctx, n.namespace, name)
		if err != nil {
			return Outcome{}, err
		}
		switch k := knownOfOrNone(live); {
		case live == nil: // deleted since
		case !k.is(n): // somebody else's, of this name: the name after it is free, or ours
			h.last, h.lastAt = k.uid, k.at
		case k.finished:
			h.add(k)
			h.last, h.lastAt = k.uid, k.at
			s.ledger.ended(n.namespace, k)
		case k.duplicate && s.now().Sub(live.CreationTimestamp.Time) < duplicateLasts:
			return Outcome{}, fmt.Errorf("RemediationRequest %s/%s is being cancelled, as a duplicate", n.namespace, name)
		default:
			return Outcome{Result: open, Request: name}, nil
		}
	}
	return Outcome{Result: occupied, Detail: fmt.Sprintf("%d RemediationRequests of namespace %s, as %s, have the names that the gateway could choose, and are about something else; delete them",
		maxTries, n.namespace, n.requestName(""))}, nil
}

// maxAhead is how far a sender's clock may be ahead. An alert from further in the future would begin after the end of every request, and be repaired again and again.
const maxAhead = 5 * time.Minute

// over says why an alert belongs to the last request of its incident, which has ended; "" if it is a new occurrence.
func (h *history) over(began, now time.Time) string {
	const until = "it makes a new request when it has stopped and fires again, or when that request is deleted"
	switch {
	case h.ended == "":
		return ""
	case began.Before(h.endedAt):
		return fmt.Sprintf("the alert began at %s, before RemediationRequest %s of the same workload ended at %s; %s", began.UTC().Format(time.RFC3339), h.ended, h.endedAt.UTC().Format(time.RFC3339), until)
	case began.After(now.Add(maxAhead)):
		return fmt.Sprintf("the alert begins at %s, in the future, and RemediationRequest %s of the same workload has ended; correct the clock of Prometheus", began.UTC().Format(time.RFC3339), h.ended)
	}
	return ""
}

func knownOfOrNone(rr *v1alpha1.RemediationRequest) known {
	if rr == nil {
		return known{}
	}
	return knownOf(rr)
}

// read is a request as the API server has it now, or nil.
func (s *Server) read(ctx context.Context, namespace, name string) (*v1alpha1.RemediationRequest, error) {
	rr := &v1alpha1.RemediationRequest{}
	err := s.config.Client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, rr)
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil //nolint:nilnil // there is none
	case err != nil:
		return nil, fmt.Errorf("read RemediationRequest %s/%s: %w", namespace, name, err)
	}
	return rr, nil
}

// fingerprintField is a selectable field of the kind.
const fingerprintField = "spec.signal.fingerprint"

// confirm looks for another open request of the incident, after the new one was created. If the last finished one was deleted at the same time, two gateways can come to two names.
// Both look after they created, so at least one of them sees the other's, and cancels its own. The alert then has to come again.
func (s *Server) confirm(ctx context.Context, n incident, mine *v1alpha1.RemediationRequest) (Outcome, error) {
	other, err := s.otherOpen(ctx, n, mine)
	switch {
	case err != nil:
		return Outcome{}, fmt.Errorf("list the requests of the incident in namespace %s: %w", n.namespace, err)
	case other == "":
		return Outcome{Result: created, Request: mine.Name}, nil
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}},"spec":{"cancel":true}}`, duplicateOf, other)
	if err := s.config.Client.Patch(ctx, mine, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return Outcome{}, fmt.Errorf("cancel RemediationRequest %s/%s, a duplicate of %s: %w", mine.Namespace, mine.Name, other, err)
	}
	return Outcome{}, fmt.Errorf("RemediationRequest %s/%s was cancelled, because %s of the same workload was created at the same time", mine.Namespace, mine.Name, other)
}

// listPage is how many requests are read at once. Anybody of the namespace can create thousands with the fingerprint of an incident, and one may have a megabyte.
const listPage = 25

// otherOpen is the name of an open request of an incident, beside mine; "" if there is none. What it reads need not be newer than mine: whoever creates later sees the other's.
// A list of this very moment would make the API server wait until its cache hears from etcd.
func (s *Server) otherOpen(ctx context.Context, n incident, mine *v1alpha1.RemediationRequest) (string, error) {
	from := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: mine.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}}
	for {
		page := &v1alpha1.RemediationRequestList{}
		if err := s.config.Client.List(ctx, page, from, client.InNamespace(n.namespace), client.MatchingFields{fingerprintField: n.fingerprint()}, client.Limit(listPage)); err != nil {
			return "", err
		}
		for i := range page.Items {
			other := &page.Items[i]
			if k := knownOf(other); other.UID != mine.UID && !k.finished && !k.duplicate && k.is(n) && !other.Spec.Cancel {
				return other.Name, nil
			}
		}
		if page.Continue == "" {
			return "", nil
		}
		from = &client.ListOptions{Continue: page.Continue}
	}
}

// refusal says what a create that failed means for the alert. Unless it is certain that sending it again is in vain, it is an error.
func (s *Server) refusal(n incident, rr *v1alpha1.RemediationRequest, err error) (Outcome, error) {
	reason := outbox.Bound(err.Error(), 500)
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(reason, policyName):
		s.events.account(n.namespace, rr.Spec.ServiceAccountName)
		return Outcome{Result: account, Detail: fmt.Sprintf("ConfigMap %s names the account %q, which the gateway may not use: grant it the verb impersonate on that ServiceAccount in namespace %s; no request was created with another account",
			ConfigMapName, rr.Spec.ServiceAccountName, n.namespace)}, nil
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsNotFound(err), apierrors.IsRequestEntityTooLargeError(err):
		s.events.refused(n.namespace, reason)
		return Outcome{Result: refused, Detail: "the API server refuses the request: " + reason}, nil
	}
	return Outcome{}, fmt.Errorf("create RemediationRequest %s/%s: %w", n.namespace, rr.Name, err)
}

// reasonOf is an error as an answer shows it: what the API server said, without addresses.
func reasonOf(err error) string {
	var status apierrors.APIStatus
	switch {
	case errors.As(err, &status):
		return outbox.Bound(err.Error(), 500)
	case errors.Is(err, context.DeadlineExceeded):
		return "there was not enough time"
	case errors.Is(err, context.Canceled):
		return "the gateway is stopping, or the sender has gone"
	}
	return "the API server does not answer"
}
