package v1alpha1_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/outbox"
)

var (
	_ outbox.Object = (*v1alpha1.RemediationRequest)(nil)
	_ outbox.Object = (*v1alpha1.AIAnalysis)(nil)
	_ outbox.Object = (*v1alpha1.WorkflowExecution)(nil)
	_ outbox.Object = (*v1alpha1.NotificationRequest)(nil)
)

// user is the administrator of the local cluster, who sends all requests.
const user = "admin"

var (
	cluster *localcluster.Cluster
	api     *kubernetes.Clientset
)

func TestAPI(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "api/v1alpha1")
}

var _ = BeforeSuite(func(ctx context.Context) {
	var err error
	cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane, Progress: GinkgoWriter})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cluster.Stop()).To(Succeed()) })
	cfg := rest.CopyConfig(cluster.RESTConfig())
	Expect(config.Install(ctx, cfg, GinkgoWriter)).To(Succeed())
	api, err = kubernetes.NewForConfig(cfg)
	Expect(err).NotTo(HaveOccurred())
})

// newNamespace makes a namespace of its own for a spec.
func newNamespace(ctx context.Context) string {
	GinkgoHelper()
	ns, err := api.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "api-"}}, metav1.CreateOptions{})
	Expect(err).NotTo(HaveOccurred())
	return ns.Name
}

// Requests go out as JSON that no Go type has seen, since much of what is sent here is wrong on purpose.

// object is a resource as JSON.
type object = map[string]any

// request is one call on a kind's resource.
type request struct {
	verb, namespace, plural string
	name, subresource       string
	patch                   string // content type
	params                  map[string]string
	body                    any
}

func (q request) raw(ctx context.Context) ([]byte, error) {
	call := api.RESTClient().Verb(q.verb).AbsPath("/apis/holdfast.dev/v1alpha1/namespaces", q.namespace, q.plural, q.name, q.subresource)
	for key, value := range q.params {
		call = call.Param(key, value)
	}
	if q.body != nil {
		content, err := json.Marshal(q.body)
		if err != nil {
			return nil, err
		}
		contentType := "application/json"
		if q.patch != "" {
			contentType = q.patch
		}
		call = call.SetHeader("Content-Type", contentType).Body(content)
	}
	answer := call.Do(ctx)
	if err := answer.Error(); err != nil {
		return nil, err
	}
	return answer.Raw()
}

func (q request) do(ctx context.Context) (object, error) {
	content, err := q.raw(ctx)
	if err != nil {
		return nil, err
	}
	decoded := object{}
	if err := json.Unmarshal(content, &decoded); err != nil {
		return nil, err
	}
	return decoded, nil
}

// dryRun is the parameter with which the server does everything but keep the result.
var dryRun = map[string]string{"dryRun": metav1.DryRunAll}

func create(ctx context.Context, k kind, o object) (object, error) {
	return request{verb: http.MethodPost, namespace: namespaceOf(o), plural: k.plural, body: o}.do(ctx)
}

func update(ctx context.Context, k kind, o object) (object, error) {
	return request{verb: http.MethodPut, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o), body: o}.do(ctx)
}

func updateStatus(ctx context.Context, k kind, o object) (object, error) {
	return request{verb: http.MethodPut, namespace: namespaceOf(o), plural: k.plural, name: nameOf(o), subresource: "status", body: o}.do(ctx)
}

func nameOf(o object) string      { return (&unstructured.Unstructured{Object: o}).GetName() }
func namespaceOf(o object) string { return (&unstructured.Unstructured{Object: o}).GetNamespace() }

// copyOf is a deep copy, as JSON has it.
func copyOf(o object) object {
	GinkgoHelper()
	content, err := json.Marshal(o)
	Expect(err).NotTo(HaveOccurred())
	copied := object{}
	Expect(json.Unmarshal(content, &copied)).To(Succeed())
	return copied
}

func fromYAML(text string) object {
	GinkgoHelper()
	o := object{}
	Expect(yaml.Unmarshal([]byte(text), &o)).To(Succeed())
	return o
}

// kind is one of the four.
type kind struct {
	name, plural, short string
	new                 func() any
}

var (
	remediationRequest  = kind{"RemediationRequest", "remediationrequests", "rr", func() any { return &v1alpha1.RemediationRequest{} }}
	aiAnalysis          = kind{"AIAnalysis", "aianalyses", "aia", func() any { return &v1alpha1.AIAnalysis{} }}
	workflowExecution   = kind{"WorkflowExecution", "workflowexecutions", "wfe", func() any { return &v1alpha1.WorkflowExecution{} }}
	notificationRequest = kind{"NotificationRequest", "notificationrequests", "nr", func() any { return &v1alpha1.NotificationRequest{} }}
	kinds               = []kind{remediationRequest, aiAnalysis, workflowExecution, notificationRequest}
)
