// Command operator is an operator of another module. operator.go and plain.go are what exists before Holdfast is added; with it, audited.go takes the place of plain.go.
package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

func main() {
	ctrl.SetLogger(zap.New())
	mgr, err := ctrl.NewManager(ctrl.GetConfigOrDie(), ctrl.Options{Scheme: scheme.Scheme})
	if err != nil {
		panic(err)
	}
	ctx := ctrl.SetupSignalHandler()
	if err := setup(ctx, mgr, &corev1.ConfigMap{}); err != nil {
		panic(err)
	}
	if err := mgr.Start(ctx); err != nil {
		panic(err)
	}
}
