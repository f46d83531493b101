package gateway

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"

	"github.com/holdfast-dev/holdfast/outbox"
)

// announcer tells the people of a namespace, by Events, what they have to change. Repeated ones become one Event with a count.
type announcer struct {
	broadcaster events.EventBroadcaster
	recorder    events.EventRecorder
}

func newAnnouncer(c kubernetes.Interface) *announcer {
	b := events.NewBroadcaster(&events.EventSinkImpl{Interface: c.EventsV1()})
	return &announcer{b, b.NewRecorder(scheme.Scheme, "holdfast-gateway")}
}

// run writes Events until its context ends.
func (a *announcer) run(ctx context.Context) error {
	if err := a.broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	a.broadcaster.Shutdown()
	return nil
}

func (a *announcer) broken(namespace string, err error) {
	a.tell(configMap(namespace), "GatewayConfigInvalid", "Nothing of this ConfigMap is used: requests get no account and no channel, and a person approves. %s", outbox.Bound(err.Error(), 600))
}

func (a *announcer) account(namespace, name string) {
	a.tell(configMap(namespace), "GatewayAccountForbidden", "An alert made no request: the gateway may not use the account %q. Grant it the verb impersonate on that ServiceAccount", name)
}

func (a *announcer) refused(namespace, reason string) {
	a.tell(configMap(namespace), "GatewayRequestRefused", "An alert made no request: %s", reason)
}

func (a *announcer) limit(namespace string, limit int) {
	a.tell(&corev1.ObjectReference{APIVersion: "v1", Kind: "Namespace", Name: namespace, Namespace: namespace}, "GatewayLimitReached",
		"Alerts make no requests while %d are open, as many as the gateway allows. They are taken when they are repeated and a request has ended", limit)
}

func (a *announcer) tell(regarding *corev1.ObjectReference, reason, note string, args ...any) {
	a.recorder.Eventf(regarding, nil, corev1.EventTypeWarning, reason, "Receive", note, args...)
}

func configMap(namespace string) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "v1", Kind: "ConfigMap", Name: ConfigMapName, Namespace: namespace}
}
