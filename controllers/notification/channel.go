package notification

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/redact"
)

// channel delivers a message once. ctx ends with the attempt's timeout, which is given for messages.
type channel interface {
	deliver(ctx context.Context, m message, timeout time.Duration) outcome
}

// message is what one attempt delivers.
type message struct {
	nr      *v1alpha1.NotificationRequest
	channel int32
	attempt int32
}

// key is the same for every attempt on one channel of one resource.
func (m message) key() string { return fmt.Sprintf("%s-%d", m.nr.UID, m.channel) }

func (m message) secretRef() *v1alpha1.SecretKeyRef { return m.nr.Spec.Channels[m.channel].SecretRef }

func succeeded() outcome { return outcome{state: v1alpha1.AttemptSucceeded} }

// failed is a failure that another attempt may fix.
func failed(reason string) outcome {
	return outcome{state: v1alpha1.AttemptFailed, reason: oneLine(redact.Text(reason), errorBytes)}
}

// forGood makes it one that no attempt can fix.
func (o outcome) forGood() outcome {
	o.permanent = true
	return o
}

// labelsOf names the channels as the audit trail does: by type, and numbered from the second of a type on (slack, slack-2).
func labelsOf(channels []v1alpha1.Channel) []string {
	labels := make([]string, len(channels))
	seen := map[v1alpha1.ChannelType]int{}
	for i := range channels {
		kind := channels[i].Type
		seen[kind]++
		labels[i] = string(kind)
		if seen[kind] > 1 {
			labels[i] = fmt.Sprintf("%s-%d", kind, seen[kind])
		}
	}
	return labels
}
