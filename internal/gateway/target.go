package gateway

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// supported are the kinds that workflows change, and where the way up ends: what controls a Deployment is not a target.
var supported = map[string]bool{"Deployment": true, "StatefulSet": true, "DaemonSet": true}

// targetOf finds the workload that owns a subject, from the live objects: pod, ReplicaSet, Deployment. An owner counts only with the uid that its dependant names.
func targetOf(ctx context.Context, reader client.Reader, s subject) (v1alpha1.Target, *leftOut, error) {
	kind, name, uid := s.kind, s.name, s.uid
	for {
		object, why, err := get(ctx, reader, s.namespace, kind, name, uid)
		if err != nil || why != nil {
			return v1alpha1.Target{}, why, err
		}
		if supported[kind] {
			return v1alpha1.Target{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: kind, Name: name}, nil, nil
		}
		if kind == "Pod" && reportsAboutOthers(object.Labels) {
			return v1alpha1.Target{}, leave(isExporter, "label pod: Pod %q is an exporter (by its labels app.kubernetes.io/name and component), expected the pod that the alert is about; set honorLabels: true for the exporter", name), nil
		}
		owner := metav1.GetControllerOf(object)
		if owner == nil {
			return v1alpha1.Target{}, leave(unsuited, "%s %q has no owner, expected a Deployment, StatefulSet or DaemonSet to own it", kind, name), nil
		}
		group, _, _ := strings.Cut(owner.APIVersion, "/")
		if group != appsv1.GroupName || !supported[owner.Kind] && owner.Kind != "ReplicaSet" || owner.Kind == kind {
			return v1alpha1.Target{}, leave(unsuited, "%s %q is owned by %s %q of %s, expected a Deployment, StatefulSet or DaemonSet of apps/v1",
				kind, name, outbox.Bound(owner.Kind, 100), outbox.Bound(owner.Name, 260), outbox.Bound(owner.APIVersion, 260)), nil
		}
		kind, name, uid = owner.Kind, owner.Name, owner.UID
	}
}

// get reads the metadata of an object that must have a uid, if there is one.
func get(ctx context.Context, reader client.Reader, namespace, kind, name string, uid types.UID) (*metav1.PartialObjectMetadata, *leftOut, error) {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind))
	if kind == "Pod" {
		object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	}
	err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, object)
	switch {
	case apierrors.IsNotFound(err):
		return nil, leave(gone, "%s %q is not in namespace %s (any more)", kind, name, namespace), nil
	case err != nil:
		return nil, nil, fmt.Errorf("read %s %s/%s: %w", kind, namespace, name, err)
	case uid != "" && object.UID != uid:
		return nil, leave(gone, "%s %q with the uid %s is gone from namespace %s; there is another one of its name", kind, name, outbox.Bound(string(uid), 100), namespace), nil
	}
	return object, nil, nil
}

// reportsAboutOthers reports whether a pod is known to be an exporter: its own pod is in the labels of series that name no other.
func reportsAboutOthers(labels map[string]string) bool {
	name, component := labels["app.kubernetes.io/name"], labels["app.kubernetes.io/component"]
	return name == "kube-state-metrics" || strings.HasSuffix(name, "-exporter") || component == "exporter"
}
