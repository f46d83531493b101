// Package clientset is a typed client of Digests, in the shape of those that client-gen makes.
package clientset

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/gentype"
	"k8s.io/client-go/rest"

	digestsv1 "example.com/digest-controller/api/v1"
)

// Scheme knows the kinds of the client.
var Scheme = runtime.NewScheme()

func init() {
	metav1.AddToGroupVersion(Scheme, metav1.SchemeGroupVersion)
	if err := digestsv1.AddToScheme(Scheme); err != nil {
		panic(err)
	}
}

// DigestInterface has methods to work with Digests.
type DigestInterface interface {
	UpdateStatus(ctx context.Context, digest *digestsv1.Digest, opts metav1.UpdateOptions) (*digestsv1.Digest, error)
	Get(ctx context.Context, name string, opts metav1.GetOptions) (*digestsv1.Digest, error)
	List(ctx context.Context, opts metav1.ListOptions) (*digestsv1.DigestList, error)
	Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error)
}

// Clientset is a client of Digests.
type Clientset struct{ rest rest.Interface }

// NewForConfig makes a client.
func NewForConfig(config *rest.Config) (*Clientset, error) {
	c := rest.CopyConfig(config)
	c.GroupVersion = &digestsv1.GroupVersion
	c.APIPath = "/apis"
	c.NegotiatedSerializer = serializer.NewCodecFactory(Scheme).WithoutConversion()
	if c.UserAgent == "" {
		c.UserAgent = rest.DefaultKubernetesUserAgent()
	}
	client, err := rest.RESTClientFor(c)
	return &Clientset{client}, err
}

// Digests of a namespace.
func (c *Clientset) Digests(namespace string) DigestInterface {
	return gentype.NewClientWithList[*digestsv1.Digest, *digestsv1.DigestList]("digests", c.rest, runtime.NewParameterCodec(Scheme), namespace,
		func() *digestsv1.Digest { return &digestsv1.Digest{} },
		func() *digestsv1.DigestList { return &digestsv1.DigestList{} })
}
