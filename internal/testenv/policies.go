package testenv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/outbox"
)

// WithoutFinalizerPolicy takes the policy away that puts the finalizer on and keeps it, as in a cluster that has none, and returns once it is out of force. WithFinalizerPolicy
// brings it back.
func (e *Env) WithoutFinalizerPolicy(ctx context.Context) error {
	binding := &metav1.PartialObjectMetadata{ // k8s.io/api has the kind since 0.36
		TypeMeta:   metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "MutatingAdmissionPolicyBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: "holdfast-finalizer"},
	}
	if err := e.Client.Delete(ctx, binding); err != nil {
		return fmt.Errorf("remove the policy: %w", err)
	}
	return wait.PollUntilContextTimeout(ctx, Interval, Timeout, true, func(ctx context.Context) (bool, error) {
		probe := MakeNotification(metav1.NamespaceDefault, "probe").Obj()
		err := e.Client.Create(ctx, probe, client.DryRunAll)
		return err == nil && !slices.Contains(probe.Finalizers, outbox.Finalizer), nil // an API server that has just started answers 503
	})
}

// WithFinalizerPolicy installs the policies, and returns once they are in force.
func (e *Env) WithFinalizerPolicy(ctx context.Context) error {
	return config.Install(ctx, e.Config, io.Discard)
}

// MainWithoutFinalizerPolicy is Main for a library that other operators use, whose clusters need not have the policy.
func MainWithoutFinalizerPolicy(m *testing.M, env **Env) int {
	ctx := context.Background()
	e, err := Start(ctx)
	if err == nil {
		err = e.WithoutFinalizerPolicy(ctx)
	}
	if err != nil {
		fmt.Println(errors.Join(err, e.Stop()))
		return 1
	}
	return e.run(m, env)
}
