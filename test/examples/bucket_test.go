package examples

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// storage is the service outside that has the buckets.
type storage struct {
	mu      sync.Mutex
	buckets map[string]string
}

func (s *storage) ServeHTTP(answer http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r.Method {
	case http.MethodPut:
		s.buckets[r.URL.Path] = string(body)
	case http.MethodDelete:
		delete(s.buckets, r.URL.Path)
	default:
		answer.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func (s *storage) has(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.buckets["/buckets/"+name]
	return ok
}

func TestBucket(t *testing.T) {
	outside := &storage{buckets: map[string]string{}}
	server := httptest.NewServer(outside)
	t.Cleanup(server.Close)
	audited(t, "bucket", "./cmd", &subject{
		gvk:      schema.GroupVersionKind{Group: "storage.example.com", Version: "v1", Kind: "Bucket"},
		resource: "buckets",
		args: func(*world) []string {
			return []string{"--health-probe-bind-address=0", "--storage-url", server.URL}
		},
		begin: func(w *world) *unstructured.Unstructured {
			o := w.object(w.namespace) // cluster-scoped, so the name has to be one of its own
			o.Object["spec"] = map[string]any{"quotaGiB": int64(1)}
			w.create(o)
			w.Eventually(func() bool { return outside.has(o.GetName()) }).Should(BeTrue())
			return o
		},
		settled: func(_ *world, o *unstructured.Unstructured) bool {
			wanted, _, _ := unstructured.NestedInt64(o.Object, "spec", "quotaGiB")
			told, _, _ := unstructured.NestedInt64(o.Object, "status", "quotaGiB")
			state, _, _ := unstructured.NestedString(o.Object, "status", "state")
			return told == wanted && state == "Ready"
		},
		further: func(w *world, o *unstructured.Unstructured, n int) {
			patch := client.MergeFrom(o.DeepCopy())
			w.Expect(unstructured.SetNestedField(o.Object, int64(n+2), "spec", "quotaGiB")).To(Succeed())
			w.Expect(env.Client.Patch(ctx, o, patch)).To(Succeed())
		},
		trail: []string{"Creating", "Ready", "Removed"},
	})
	NewWithT(t).Expect(len(outside.buckets)).To(BeNumerically("<=", 2), "of those whose finalizer nobody stripped, none is left outside")
}
