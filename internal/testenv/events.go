package testenv

import (
	"context"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Recorder makes a recorder that works while mgr runs. Managers have one of their own since controller-runtime 0.23, and the libraries' tests also run with 0.22.
func Recorder(mgr ctrl.Manager, name string) (events.EventRecorder, error) {
	clients, err := kubernetes.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: clients.EventsV1()})
	run := func(ctx context.Context) error {
		defer broadcaster.Shutdown()
		if err := broadcaster.StartRecordingToSinkWithContext(ctx); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	return broadcaster.NewRecorder(mgr.GetScheme(), name), mgr.Add(manager.RunnableFunc(run))
}

// Notes are those of the Events with a reason that regard a resource, for Eventually.
func Notes(ctx context.Context, c client.Reader, o client.Object, reason string) func() ([]string, error) {
	return func() ([]string, error) {
		list := &eventsv1.EventList{}
		if err := c.List(ctx, list, client.InNamespace(o.GetNamespace())); err != nil {
			return nil, err
		}
		var notes []string
		for _, e := range list.Items {
			if e.Regarding.UID == o.GetUID() && e.Reason == reason {
				notes = append(notes, e.Note)
			}
		}
		return notes, nil
	}
}
