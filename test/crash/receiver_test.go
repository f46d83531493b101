package crash

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
)

// receiver is the world outside of the cluster: it takes notifications, answers like HolmesGPT, and disturbs at the points at which it is called.
type receiver struct {
	*httptest.Server
	world *world

	mu         sync.Mutex
	deliveries map[string][]int // by Idempotency-Key: the attempts, as they came
	accepted   map[string]int
	questions  int
	silent     int // so many of the first questions get no answer
}

func newReceiver(w *world) *receiver {
	r := &receiver{world: w, deliveries: map[string][]int{}, accepted: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /takes", r.deliver(func(int) int { return http.StatusOK }))
	mux.HandleFunc("POST /recovers", r.deliver(func(attempt int) int {
		if attempt == 1 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	}))
	mux.HandleFunc("POST /fails", r.deliver(func(int) int { return http.StatusServiceUnavailable }))
	mux.HandleFunc("POST /refuses", r.deliver(func(int) int { return http.StatusNotFound }))
	mux.HandleFunc("POST /api/chat", r.answer)
	mux.HandleFunc("POST /touch/{kind}", r.touch)
	r.Server = httptest.NewServer(mux)
	w.t.Cleanup(r.Close)
	return r
}

func (r *receiver) deliver(status func(attempt int) int) http.HandlerFunc {
	return func(to http.ResponseWriter, req *http.Request) {
		var message struct{ Attempt int }
		_ = json.NewDecoder(req.Body).Decode(&message)
		code := status(message.Attempt)
		r.mu.Lock()
		key := req.Header.Get("Idempotency-Key")
		r.deliveries[key] = append(r.deliveries[key], message.Attempt)
		if code == http.StatusOK {
			r.accepted[key]++
		}
		r.mu.Unlock()
		to.WriteHeader(code)
	}
}

// answer recommends to scale.
func (r *receiver) answer(to http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	r.questions++
	silent := r.questions <= r.silent
	r.mu.Unlock()
	if silent {
		to.WriteHeader(http.StatusBadGateway)
		return
	}
	finding := `{"root_cause":"too many replicas","root_cause_confidence":95,"workflow":"scale","parameters":[{"name":"replicas","value":"2"}],` +
		`"action_confidence":90,"rationale":"there is no room for three","no_action_reason":"","alternatives":[]}`
	text, _ := json.Marshal(map[string]any{"analysis": finding, "metadata": map[string]any{}})
	to.Header().Set("Content-Type", "application/json")
	_, _ = to.Write(text)
}

// touch sets another label on everything of a kind, so that the write which waits for the answer meets a conflict.
func (r *receiver) touch(to http.ResponseWriter, req *http.Request) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(req.PathValue("kind") + "List"))
	if err := env.Client.List(req.Context(), list, client.InNamespace(r.world.namespace)); err != nil {
		r.world.t.Errorf("touch: %v", err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		patch(r.world, o, fmt.Sprintf(`{"metadata":{"labels":{"touched":"v%s"}}}`, o.GetResourceVersion()))
	}
	to.WriteHeader(http.StatusNoContent)
}

// check holds deliveries to what is documented: no number of an attempt comes twice, and a message is taken more than once only if a manager died meanwhile.
func (r *receiver) check(w *world) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, attempts := range r.deliveries {
		seen := map[int]bool{}
		for _, n := range attempts {
			w.Expect(seen[n]).To(BeFalse(), "attempt %d of %s was sent twice: %v", n, key, attempts)
			seen[n] = true
		}
		w.Expect(r.accepted[key]).To(BeNumerically("<=", 1+w.deaths), "%s was taken too often: attempts %v", key, attempts)
	}
}
