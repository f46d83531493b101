package notification

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

const (
	// consoleBytes bounds the body in the log.
	consoleBytes = 8 << 10
	// noteBytes bounds the subject in the note of an Event, for which Kubernetes allows 1 KiB.
	noteBytes = 500
	// eventNotification is the reason of the Events that announce a message. They have no body: Events are lists of what happened, and are read by more people.
	eventNotification = "Notification"
)

// console writes one line to the manager's log, and an Event on the notification and on its remediation, if that still exists.
type console struct {
	client   client.Client
	recorder events.EventRecorder
}

func (c *console) deliver(ctx context.Context, m message, _ time.Duration) outcome {
	remediation, err := c.remediation(ctx, m)
	if err != nil {
		return failed("the remediation could not be read from the API server")
	}
	logf.FromContext(ctx).Info("Notification", "subject", m.nr.Spec.Subject, "body", outbox.Bound(m.nr.Spec.Body, consoleBytes),
		"remediation", m.nr.Spec.RemediationRef.Name, "remediationID", string(m.nr.Spec.RemediationRef.UID))
	note := outbox.Bound(m.nr.Spec.Subject, noteBytes)
	if m.nr.Spec.Body != "" {
		note += fmt.Sprintf("\nFor the text: kubectl -n %s get nr %s -o jsonpath={.spec.body}", m.nr.Namespace, m.nr.Name)
	}
	c.recorder.Eventf(m.nr, nil, corev1.EventTypeNormal, eventNotification, "Notify", "%s", note)
	if remediation != nil {
		c.recorder.Eventf(remediation, m.nr, corev1.EventTypeNormal, eventNotification, "Notify", "%s", note)
	}
	return succeeded()
}

// remediation is nil when the request of that uid is gone.
func (c *console) remediation(ctx context.Context, m message) (*v1alpha1.RemediationRequest, error) {
	ref := m.nr.Spec.RemediationRef
	rr := &v1alpha1.RemediationRequest{}
	err := c.client.Get(ctx, client.ObjectKey{Namespace: m.nr.Namespace, Name: ref.Name}, rr)
	if apierrors.IsNotFound(err) || err == nil && rr.UID != ref.UID {
		return nil, nil
	}
	return rr, err
}
