package remediation

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	"github.com/holdfast-dev/holdfast/internal/redact"
	"github.com/holdfast-dev/holdfast/outbox"
)

// blockedError says that the API server does not take a child now, and may take it later.
type blockedError struct {
	// reason of the condition.
	reason string
	err    error
}

func (e *blockedError) Error() string { return e.err.Error() }
func (e *blockedError) Unwrap() error { return e.err }

// blockedBy is the reason of the condition for an error of a creation, "" if waiting does not help, or if nothing is wrong but the connection.
//
// The API server names no reason but Forbidden for a full quota, for a right that is missing and for an admission policy's refusal, so its words decide, but for the child's name, which
// somebody chose. A webhook that speaks of a quota keeps one.
func blockedBy(err error) string {
	words := err.Error()
	if _, why, found := strings.Cut(words, " is forbidden: "); found {
		words = why
	}
	switch {
	case apierrors.IsForbidden(err) && strings.Contains(words, "quota"):
		return "QuotaExceeded"
	case apierrors.IsForbidden(err) && strings.Contains(words, "cannot create resource"):
		return "NotAuthorized"
	case apierrors.IsInternalError(err) && strings.Contains(words, "failed calling webhook"):
		return "WebhookUnavailable"
	case apierrors.IsTooManyRequests(err):
		return "TooManyRequests"
	}
	return ""
}

// wait keeps the request as it is while a child can't be made, and says what is missing: in a condition, and in an Event when that begins.
func (r *Reconciler) wait(ctx context.Context, s *scope, l *slot, blocked *blockedError) (ctrl.Result, error) {
	message := outbox.Bound("Retrying until the timeout: "+redact.Text(blocked.Error()), 1024)
	before := s.blockedCondition(l)
	begins := before == nil
	// Each write starts the reconciler again at once. A text that is another each time, as with the port of a connection or the use of a quota, would keep it busy for ever.
	if !begins && before.Reason == blocked.reason && sameWords(before.Message, message) {
		message = before.Message
	}
	s.setCondition(metav1.Condition{Type: l.blocked, Status: metav1.ConditionTrue, Reason: blocked.reason, Message: message})
	if err := s.draft.Save(ctx, nil); err != nil {
		return ctrl.Result{}, fmt.Errorf("save that the %s is blocked: %w", l.part, err)
	}
	if begins {
		lifecycle.Announce(r.recorder, s.rr, lifecycle.Warning, l.blocked, message)
	}
	after := lifecycle.BlockedRetry
	if _, next := overdue(s.rr, s.now); next > 0 {
		after = min(after, next)
	}
	return ctrl.Result{RequeueAfter: after}, nil
}

var numbers = regexp.MustCompile(`\d+`)

// sameWords reports whether two texts differ in numbers at most.
func sameWords(a, b string) bool {
	return numbers.ReplaceAllString(a, "0") == numbers.ReplaceAllString(b, "0")
}

// setCondition sets a condition as of now.
func (s *scope) setCondition(c metav1.Condition) {
	c.ObservedGeneration, c.LastTransitionTime = s.rr.Generation, metav1.NewTime(s.now)
	meta.SetStatusCondition(&s.rr.Status.Conditions, c)
}

// blockedCondition says that a child can't be made, and since when; nil while nothing keeps it from being made.
func (s *scope) blockedCondition(l *slot) *metav1.Condition {
	condition := meta.FindStatusCondition(s.rr.Status.Conditions, l.blocked)
	if condition == nil || condition.Status != metav1.ConditionTrue {
		return nil
	}
	return condition
}

// explain adds to the reason of an ending why the child that was due could not be made.
func (s *scope) explain(reason string, l *slot) string {
	condition := s.blockedCondition(l)
	if condition == nil {
		return reason
	}
	_, why, _ := strings.Cut(condition.Message, ": ")
	return fmt.Sprintf("%s: the %s could not be created: %s", reason, l.part, why)
}

// unblock turns the conditions off when the request goes on.
func (s *scope) unblock() {
	for _, l := range s.all() {
		if s.blockedCondition(l) != nil {
			s.setCondition(metav1.Condition{Type: l.blocked, Status: metav1.ConditionFalse, Reason: "NotBlocked"})
		}
	}
}

// untold reports whether the time is over in which a blocked notification can be made: the one that spec.timeouts gives to its delivery.
func (s *scope) untold() bool {
	condition := s.blockedCondition(s.notificationSlot)
	if condition == nil {
		return false
	}
	left, limited := lifecycle.Remaining(condition.LastTransitionTime.Time, s.rr.Spec.Timeouts.Notification, s.now)
	return limited && left == 0
}

// isBlocked is the error of a child that can't be made now, nil if err is another.
func isBlocked(err error) *blockedError {
	var blocked *blockedError
	if errors.As(err, &blocked) {
		return blocked
	}
	return nil
}
