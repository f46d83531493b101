package config

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
)

// FieldManager is who owns the fields that Install applies.
const FieldManager = "holdfast"

// How long the API server may take to serve a new kind, or to enforce a new policy. Both take a second or two.
const (
	pollTimeout  = time.Minute
	pollInterval = 100 * time.Millisecond
)

var (
	crdResource      = apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	roleResource     = rbacv1.SchemeGroupVersion.WithResource("clusterroles")
	admissionVersion = schema.GroupVersion{Group: "admissionregistration.k8s.io", Version: "v1"}
	policyResources  = map[string]schema.GroupVersionResource{
		"ValidatingAdmissionPolicy":        admissionVersion.WithResource("validatingadmissionpolicies"),
		"ValidatingAdmissionPolicyBinding": admissionVersion.WithResource("validatingadmissionpolicybindings"),
		"MutatingAdmissionPolicy":          admissionVersion.WithResource("mutatingadmissionpolicies"),
		"MutatingAdmissionPolicyBinding":   admissionVersion.WithResource("mutatingadmissionpolicybindings"),
	}
)

// Install applies the CustomResourceDefinitions, the roles to bind and the admission policies, and returns when the kinds are served and the policies are
// enforced. progress gets one line a step; nil is silent. The caller needs the rights of a cluster administrator.
func Install(ctx context.Context, cfg *rest.Config, progress io.Writer) error {
	if progress == nil {
		progress = io.Discard
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("install: create a client: %w", err)
	}
	if err := installCRDs(ctx, client, progress); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := installRoles(ctx, client, progress); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := installPolicies(ctx, client, progress); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

func installCRDs(ctx context.Context, client dynamic.Interface, progress io.Writer) error {
	objects, err := read("crd/bases/*.yaml")
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := apply(ctx, client.Resource(crdResource), object); err != nil {
			return err
		}
	}
	for _, object := range objects {
		if err := waitEstablished(ctx, client, object.GetName()); err != nil {
			return err
		}
		fmt.Fprintf(progress, "CRD %s: established\n", object.GetName())
	}
	return nil
}

func installRoles(ctx context.Context, client dynamic.Interface, progress io.Writer) error {
	objects, err := Roles()
	if err != nil {
		return err
	}
	for _, object := range objects {
		if err := apply(ctx, client.Resource(roleResource), object); err != nil {
			return err
		}
		fmt.Fprintf(progress, "ClusterRole %s: installed\n", object.GetName())
	}
	return nil
}

func installPolicies(ctx context.Context, client dynamic.Interface, progress io.Writer) error {
	objects, err := Policies()
	if err != nil {
		return err
	}
	for _, object := range objects {
		resource, ok := policyResources[object.GetKind()]
		if !ok {
			return fmt.Errorf("%s %s: expected an admission policy or its binding", object.GetKind(), object.GetName())
		}
		if err := apply(ctx, client.Resource(resource), object); err != nil {
			return err
		}
	}
	for _, p := range probes {
		if err := p.waitEnforced(ctx, client); err != nil {
			return err
		}
		fmt.Fprintf(progress, "policy %s: enforced on %s\n", p.policy, p.resource.Resource)
	}
	return nil
}

func apply(ctx context.Context, to dynamic.ResourceInterface, object *unstructured.Unstructured) error {
	if _, err := to.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: FieldManager, Force: true}); err != nil {
		return fmt.Errorf("apply %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	return nil
}

func waitEstablished(ctx context.Context, client dynamic.Interface, name string) error {
	return poll(ctx, "wait until the kind "+name+" is served", func(ctx context.Context) error {
		object, err := client.Resource(crdResource).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, crd); err != nil {
			return err
		}
		for _, condition := range crd.Status.Conditions {
			if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("the CRD is not established, its conditions are %v", crd.Status.Conditions)
	})
}

// poll repeats the check until it succeeds; when the time is up, the error says what the last check found.
func poll(ctx context.Context, what string, check func(context.Context) error) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, pollInterval, pollTimeout, true, func(ctx context.Context) (bool, error) {
		err := check(ctx)
		if err != nil && (last == nil || ctx.Err() == nil) {
			last = err
		}
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, errors.Join(err, last))
	}
	return nil
}
