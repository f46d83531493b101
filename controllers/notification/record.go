package notification

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"github.com/holdfast-dev/holdfast/models"
)

// Ten channels of twenty attempts must fit into one entry (64 KiB), with every text at its worst.
const (
	// subjectBytes bounds the subject in the record.
	subjectBytes = 2 << 10
	// wholeErrors is how many of the newest attempts have their whole error in the record. The errors of older ones are shortened to oldErrorBytes: each had its whole
	// error in its own entry, when it was the newest.
	wholeErrors   = 20
	oldErrorBytes = 32
	// reasonBytes bounds what failureReason quotes of each channel's last error.
	reasonBytes = 90
)

// recordOf is the audit record of a notification's present state.
func recordOf(nr *v1alpha1.NotificationRequest) models.Notification {
	labels := labelsOf(nr.Spec.Channels)
	return models.Notification{
		RemediationID:           lifecycle.RemediationID(nr, nr.Spec.RemediationRef),
		NotificationRequestedAt: outboxapi.NewTime(nr.CreationTimestamp.Time),
		NotificationSentAt:      nr.Status.SentTime.DeepCopy(),
		DeliveryConfirmedAt:     nr.Status.ConfirmedTime.DeepCopy(),
		Channels:                labels,
		DeliveryAttempts:        attemptsOf(nr, labels),
		DeliveryStatus:          nr.Status.DeliveryStatus,
		Purpose:                 string(purposeOf(nr)),
		Subject:                 oneLine(nr.Spec.Subject, subjectBytes),
		FailureReason:           nr.Status.FailureReason,
	}
}

// purposeOf is the purpose of a notification. Resources older than the field have none.
func purposeOf(nr *v1alpha1.NotificationRequest) v1alpha1.NotificationPurpose {
	return cmp.Or(nr.Spec.Purpose, v1alpha1.PurposeOutcome)
}

// attemptStates are the words of the audit trail for an attempt's state.
var attemptStates = map[string]string{
	v1alpha1.AttemptSending:   "sending",
	v1alpha1.AttemptSucceeded: "success",
	v1alpha1.AttemptFailed:    "failed",
	v1alpha1.AttemptUnknown:   "unknown",
}

func attemptsOf(nr *v1alpha1.NotificationRequest, labels []string) []models.DeliveryAttempt {
	attempts := make([]models.DeliveryAttempt, len(nr.Status.Attempts))
	old := len(attempts) - wholeErrors
	for i := range attempts {
		a := &nr.Status.Attempts[i]
		text := a.Error
		if i < old {
			text = oneLine(text, oldErrorBytes)
		}
		attempts[i] = models.DeliveryAttempt{
			Channel: labelOf(labels, a), Attempt: a.Attempt, Status: attemptStates[a.State],
			StartedAt: a.StartedTime.DeepCopy(), StatusCode: a.StatusCode, Error: text,
		}
		if a.DurationMilliseconds != nil {
			attempts[i].Duration = *a.DurationMilliseconds
		}
	}
	return attempts
}

// labelOf accepts an attempt that names no channel, since anybody who may write the status may have edited it.
func labelOf(labels []string, a *v1alpha1.DeliveryAttempt) string {
	if a.Channel < 0 || int(a.Channel) >= len(labels) {
		return string(a.Type)
	}
	return labels[a.Channel]
}

// failureReason names every channel that was not reached, and its last error; empty when all were.
func failureReason(nr *v1alpha1.NotificationRequest, p plan) string {
	labels, last := labelsOf(nr.Spec.Channels), lastAttempts(nr)
	var reasons []string
	for _, c := range p.failed {
		reasons = append(reasons, missed(labels, &nr.Status.Attempts[last[c]], reasonBytes))
	}
	return strings.Join(reasons, "; ")
}

func missed(labels []string, a *v1alpha1.DeliveryAttempt, bytes int) string {
	return fmt.Sprintf("%s: %s (attempt %d)", labelOf(labels, a), oneLine(a.Error, bytes), a.Attempt)
}
