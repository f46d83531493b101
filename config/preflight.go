package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	authorizationv1 "k8s.io/api/authorization/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// Preflight returns what an installation lacks, as far as the manager itself can see it: kinds that are not served, or are those of another release, rights of its account, and
// admission policies. Of these it needs the right to get them: the API server publishes schemas to everybody, and answers everybody about their own rights. namespace is the manager's; "" leaves out the rights there.
func Preflight(ctx context.Context, cfg *rest.Config, namespace string) (problems []error, err error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("create a client: %w", err)
	}
	problems, err = served(ctx, client)
	if err != nil {
		return nil, err
	}
	refused, err := refusedRights(ctx, client, namespace)
	if err != nil {
		return nil, err
	}
	absent, err := absentPolicies(ctx, client)
	if err != nil {
		return nil, err
	}
	return append(append(problems, refused...), absent...), nil
}

// absentPolicies is one error, with the policies and bindings of this release that are not there. Those that the account may not get are passed over: what right it lacks is said.
func absentPolicies(ctx context.Context, client kubernetes.Interface) ([]error, error) {
	ours, err := Policies()
	if err != nil {
		return nil, err
	}
	var absent []string
	for _, our := range ours {
		resource := map[string]string{
			"ValidatingAdmissionPolicy": "validatingadmissionpolicies", "ValidatingAdmissionPolicyBinding": "validatingadmissionpolicybindings",
		}[our.GetKind()]
		if resource == "" { // the account may not get others
			continue
		}
		_, err := client.Discovery().RESTClient().Get().AbsPath("/apis", our.GroupVersionKind().Group, our.GroupVersionKind().Version, resource, our.GetName()).Do(ctx).Raw()
		switch {
		case apierrors.IsNotFound(err):
			absent = append(absent, our.GetKind()+" "+our.GetName())
		case err != nil && !apierrors.IsForbidden(err):
			return nil, fmt.Errorf("read %s %s: %w", our.GetKind(), our.GetName(), err)
		}
	}
	if len(absent) == 0 {
		return nil, nil
	}
	return []error{fmt.Errorf("%s is not installed (%d of %d policies and bindings are absent); apply config/admission: nobody's name counts that a policy does not check, so decisions are refused", absent[0], len(absent), len(ours))}, nil
}

// served compares the schemas that the API server publishes with those of this release.
func served(ctx context.Context, client kubernetes.Interface) (problems []error, err error) {
	ours, err := CRDs()
	if err != nil {
		return nil, err
	}
	listed, err := client.Discovery().ServerResourcesForGroupVersion(group.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("list the kinds of %s: %w", group, err)
	}
	isListed := func(crd *apiextensionsv1.CustomResourceDefinition) bool {
		return listed != nil && slices.ContainsFunc(listed.APIResources, func(r metav1.APIResource) bool { return r.Name == crd.Spec.Names.Plural })
	}
	// A kind whose definition has just changed is served, and its schema is published a moment later.
	var theirs map[string]apiextensionsv1.JSONSchemaProps
	err = wait.PollUntilContextTimeout(ctx, publishedEvery, publishedWithin, true, func(ctx context.Context) (done bool, err error) {
		theirs, err = published(ctx, client)
		return !slices.ContainsFunc(ours, func(crd *apiextensionsv1.CustomResourceDefinition) bool {
			_, found := theirs[crd.Spec.Names.Kind]
			return !found && isListed(crd)
		}), err
	})
	if err != nil && !wait.Interrupted(err) {
		return nil, err
	}
	for _, our := range ours {
		schema, found := theirs[our.Spec.Names.Kind]
		if !found && isListed(our) {
			problems = append(problems, fmt.Errorf("%s is served, but its schema is not published yet, so whether its CustomResourceDefinition is of this release is not known; run `kubectl holdfast check`", our.Name))
			continue
		}
		if !found {
			problems = append(problems, fmt.Errorf("%s is not served, expected its CustomResourceDefinition; apply config/crd", our.Name))
			continue
		}
		their := our.DeepCopy()
		for i := range their.Spec.Versions {
			if their.Spec.Versions[i].Name == group.Version {
				their.Spec.Versions[i].Schema = &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &schema}
			}
		}
		switch lacking, more := Difference(our, their); {
		case len(lacking) > 0:
			problems = append(problems, fmt.Errorf("the CustomResourceDefinition %s lacks %s, so the API server drops what is written there; apply config/crd of this release", our.Name, lacking[0]))
		case len(more) > 0:
			problems = append(problems, fmt.Errorf("the CustomResourceDefinition %s has %s, which this release does not know: it is older than the definition, and drops such fields; run the release of the definition", our.Name, more[0]))
		}
	}
	return problems, nil
}

const (
	publishedEvery  = 200 * time.Millisecond
	publishedWithin = 5 * time.Second
)

// published are the schemas of our version, by kind; none if nothing of it is served.
func published(ctx context.Context, client kubernetes.Interface) (map[string]apiextensionsv1.JSONSchemaProps, error) {
	text, err := client.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis", group.Group, group.Version).SetHeader("Accept", "application/json").Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the schemas of %s: %w", group, err)
	}
	var document struct {
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, fmt.Errorf("read the schemas of %s: the answer is no OpenAPI document: %w", group, err)
	}
	schemas := map[string]apiextensionsv1.JSONSchemaProps{}
	for name, text := range document.Components.Schemas {
		kind := name[strings.LastIndex(name, ".")+1:]
		var schema apiextensionsv1.JSONSchemaProps
		if err := json.Unmarshal(text, &schema); err == nil {
			if schema.Properties != nil {
				schema.Properties["metadata"] = apiextensionsv1.JSONSchemaProps{} // its fields are the API server's own
			}
			schemas[kind] = schema
		}
	}
	return schemas, nil
}

// reviewsAtOnce are the rights that are asked about at the same time.
const reviewsAtOnce = 8

// refusedRights is one error, with the first right that the caller lacks.
func refusedRights(ctx context.Context, client kubernetes.Interface, namespace string) ([]error, error) {
	wanted, own, err := ManagerRights()
	if err != nil {
		return nil, err
	}
	if namespace != "" {
		for _, r := range own {
			if r.Name == "" { // the lease's name depends on the shard
				r.Namespace = namespace
				wanted = append(wanted, r)
			}
		}
	}
	allowed := make([]bool, len(wanted))
	together, ctx := errgroup.WithContext(ctx)
	together.SetLimit(reviewsAtOnce)
	for i := range wanted {
		together.Go(func() error {
			review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &wanted[i]}}
			answer, err := client.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
			if err == nil {
				allowed[i] = answer.Status.Allowed
			}
			return err
		})
	}
	if err := together.Wait(); err != nil {
		return nil, fmt.Errorf("ask for the rights of this account: %w", err)
	}
	first, more := "", -1
	for i := range wanted {
		if !allowed[i] {
			if more++; first == "" {
				first = RightText(&wanted[i])
			}
		}
	}
	if first == "" {
		return nil, nil
	}
	return []error{errors.New("this account may not " + first + others(more) +
		"; apply config/rbac, or, if another installation was made since, keep one of the two: the ClusterRoleBinding holdfast-manager is that of the last one")}, nil
}

func others(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and lacks %d other rights", n)
}

// RightText says what a right allows, as in: update remediationrequests/status.holdfast.dev.
func RightText(r *authorizationv1.ResourceAttributes) string {
	text := r.Verb + " " + r.Resource
	if r.Subresource != "" {
		text += "/" + r.Subresource
	}
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Name != "" {
		text += " " + r.Name
	}
	if r.Namespace != "" {
		text += " in the namespace " + r.Namespace
	}
	return text
}
