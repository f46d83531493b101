package notification

import (
	"context"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// webhook posts JSON to a URL. A status of 2xx says that the receiver took it, whatever the body is.
type webhook struct{ poster *poster }

// payload is the body of a generic webhook. ID, also sent as Idempotency-Key, is the same for every attempt.
type payload struct {
	ID          string      `json:"id"`
	Attempt     int32       `json:"attempt"`
	Namespace   string      `json:"namespace"`
	Name        string      `json:"name"`
	Remediation remediation `json:"remediation"`
	// Purpose is Outcome, ApprovalNeeded or ApprovalReminder.
	Purpose v1alpha1.NotificationPurpose `json:"purpose"`
	// Subject and Body are plain text with the words of strangers in it. A receiver that puts them into markup has to escape them.
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

type remediation struct {
	Name string    `json:"name"`
	UID  types.UID `json:"uid"`
}

func (w *webhook) deliver(ctx context.Context, m message, timeout time.Duration) outcome {
	spec := &m.nr.Spec
	return w.poster.post(ctx, m, timeout, payload{
		ID: m.key(), Attempt: m.attempt, Namespace: m.nr.Namespace, Name: m.nr.Name,
		Remediation: remediation{Name: spec.RemediationRef.Name, UID: spec.RemediationRef.UID},
		Purpose:     purposeOf(m.nr), Subject: spec.Subject, Body: spec.Body,
	}, http.Header{"Idempotency-Key": {m.key()}}, nil)
}
