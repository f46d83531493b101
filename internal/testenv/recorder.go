package testenv

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/manager"
)

// Recorder makes a recorder of Events that ends with a manager. Before controller-runtime 0.23 managers have none of this kind.
func Recorder(mgr ctrl.Manager, component string) (events.EventRecorder, error) {
	clients, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, fmt.Errorf("make a recorder: %w", err)
	}
	b := events.NewBroadcaster(&events.EventSinkImpl{Interface: clients.EventsV1()})
	ctx, cancel := context.WithCancel(context.Background())
	end := manager.RunnableFunc(func(running context.Context) error {
		<-running.Done()
		cancel()
		b.Shutdown()
		return nil
	})
	if err := errors.Join(b.StartRecordingToSinkWithContext(ctx), mgr.Add(end)); err != nil {
		cancel()
		return nil, fmt.Errorf("make a recorder: %w", err)
	}
	return b.NewRecorder(mgr.GetScheme(), component), nil
}
