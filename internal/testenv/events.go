package testenv

import (
	"context"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

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
