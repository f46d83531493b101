package notification

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

func TestNotification(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "notification controller")
}

var env *testenv.Env

var _ = BeforeSuite(func(ctx SpecContext) {
	testenv.LogTo = GinkgoWriter
	var err error
	env, err = testenv.Start(ctx)
	Expect(err).NotTo(HaveOccurred())
}, NodeTimeout(5*testenv.LongTimeout))

var _ = AfterSuite(func() { Expect(env.Stop()).To(Succeed()) })

// fixture is one spec's namespace, clock, and store.
type fixture struct {
	ctx       context.Context
	namespace string
	clock     controllertest.Clock
	store     *testenv.Watermarks
}

func newFixture() *fixture {
	ctx, cancel := context.WithCancel(context.Background())
	DeferCleanup(cancel)
	return &fixture{
		ctx: ctx, namespace: env.Namespace(ctx, "notify"),
		clock: controllertest.NewClock(),
		store: &testenv.Watermarks{},
	}
}

func (f *fixture) pass(d time.Duration) { f.clock.Pass(d) }

// process is one life of a manager, driven by hand.
type process struct {
	*Reconciler
	writer   *outbox.Writer
	f        *fixture
	recorder *controllertest.Recorder
}

// processSettings are what a spec can choose of a process.
type processSettings struct {
	calls  interceptor.Funcs
	limits outbox.Limits
}

type processOption func(*processSettings)

// calls intercepts calls of the API server.
func calls(funcs interceptor.Funcs) processOption {
	return func(s *processSettings) { s.calls = funcs }
}

func limits(l outbox.Limits) processOption { return func(s *processSettings) { s.limits = l } }

// start begins a new process, which remembers nothing of others.
func (f *fixture) start(options ...processOption) *process {
	GinkgoHelper()
	s := &processSettings{limits: outbox.DefaultLimits()}
	for _, o := range options {
		o(s)
	}
	recorder := controllertest.NewRecorder(func(wrong string) { GinkgoT().Error(wrong) })
	c := interceptor.NewClient(env.Client, s.calls)
	w := outbox.NewWriter(c, env.Client, f.store.WithLimits(s.limits), outbox.WithClock(f.clock))
	r, err := New(c, env.Client, w, recorder, withClock(f.clock), withRandom(func() float64 { return 0 }))
	Expect(err).NotTo(HaveOccurred())
	return &process{Reconciler: r, f: f, writer: w, recorder: recorder}
}

func (p *process) try(nr *v1alpha1.NotificationRequest) (ctrl.Result, error) {
	return p.Reconcile(p.f.ctx, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(nr)})
}

func (p *process) reconcile(nr *v1alpha1.NotificationRequest) ctrl.Result {
	GinkgoHelper()
	res, err := p.try(nr)
	Expect(err).NotTo(HaveOccurred())
	return res
}

// drive reconciles, as a manager does, until no attempt is under way and every outcome is saved.
func (p *process) drive(nr *v1alpha1.NotificationRequest) ctrl.Result {
	GinkgoHelper()
	for range 50 {
		res := p.reconcile(nr)
		p.attempts.Wait()
		if p.attempts.Len() == 0 {
			return res
		}
	}
	Fail("the notification does not come to rest")
	return ctrl.Result{}
}

// nrOption changes a request before it is created.
type nrOption func(*v1alpha1.NotificationRequest)

func maxAttempts(n int32) nrOption {
	return func(nr *v1alpha1.NotificationRequest) { nr.Spec.Retry.MaxAttempts = n }
}

// timeout bounds one attempt.
func timeout(d time.Duration) nrOption {
	return func(nr *v1alpha1.NotificationRequest) { nr.Spec.Retry.Timeout = &metav1.Duration{Duration: d} }
}

func withFinalizer(nr *v1alpha1.NotificationRequest) { nr.Finalizers = []string{outbox.Finalizer} }

func (f *fixture) request(channels []v1alpha1.Channel, options ...nrOption) *v1alpha1.NotificationRequest {
	GinkgoHelper()
	nr := &v1alpha1.NotificationRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "cart-"},
		Spec: v1alpha1.NotificationRequestSpec{
			RemediationRef: v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"},
			Subject:        "cart is fixed", Body: "It was <the release> & it is undone.", Channels: channels,
		},
	}
	for _, o := range options {
		o(nr)
	}
	Expect(env.Client.Create(f.ctx, nr)).To(Succeed())
	return nr
}

// get reads the request as the API server has it.
func (f *fixture) get(nr *v1alpha1.NotificationRequest) *v1alpha1.NotificationRequest {
	GinkgoHelper()
	live := &v1alpha1.NotificationRequest{}
	Expect(env.Client.Get(f.ctx, client.ObjectKeyFromObject(nr), live)).To(Succeed())
	return live
}

func (f *fixture) cancel(nr *v1alpha1.NotificationRequest) {
	GinkgoHelper()
	Expect(env.Client.Patch(f.ctx, f.get(nr), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`)))).To(Succeed())
}

// secret holds a URL and gives the reference to it.
func (f *fixture) secret(url string) *v1alpha1.SecretKeyRef {
	GinkgoHelper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, GenerateName: "hook-"}, StringData: map[string]string{"url": url}}
	Expect(env.Client.Create(f.ctx, s)).To(Succeed())
	return &v1alpha1.SecretKeyRef{Name: s.Name, Key: "url"}
}

func consoleChannel() v1alpha1.Channel { return v1alpha1.Channel{Type: v1alpha1.ChannelConsole} }

func (f *fixture) webhook(url string) v1alpha1.Channel {
	return v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: f.secret(url)}
}

func (f *fixture) slack(url string) v1alpha1.Channel {
	return v1alpha1.Channel{Type: v1alpha1.ChannelSlack, SecretRef: f.secret(url)}
}

// received is one POST.
type received struct {
	header http.Header
	body   map[string]any
}

// receiver is a real HTTP server that keeps what it gets and gives prepared answers: one after the other, then the last one again.
type receiver struct {
	*httptest.Server
	mu      sync.Mutex
	got     []received
	answers []http.HandlerFunc
}

const hookPath = "/services/T000/B000/very-secret-token"

func listen(answers ...http.HandlerFunc) *receiver {
	r := &receiver{answers: answers}
	r.Server = httptest.NewServer(r)
	DeferCleanup(r.Close)
	return r
}

// hook is the URL that must appear nowhere.
func (r *receiver) hook() string { return r.URL + hookPath }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	answer := r.answers[min(len(r.got), len(r.answers)-1)]
	r.got = append(r.got, received{header: req.Header.Clone(), body: body})
	r.mu.Unlock()
	answer(w, req)
}

func (r *receiver) requests() []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]received(nil), r.got...)
}

// answer answers with a status, and as Slack does if that is 200.
func answer(code int) http.HandlerFunc {
	if code == http.StatusOK {
		return says(code, "text/html", "ok")
	}
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func says(code int, contentType, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, text)
	}
}

func recordAt(nr *v1alpha1.NotificationRequest, entry int) models.Notification {
	GinkgoHelper()
	record, err := controllertest.Record[models.Notification](nr, entry)
	Expect(err).NotTo(HaveOccurred())
	return record
}

func lastRecord(nr *v1alpha1.NotificationRequest) models.Notification {
	GinkgoHelper()
	return recordAt(nr, len(nr.Status.Outbox.Entries)-1)
}

// states are the states of all attempts, as channel:attempt:state.
func states(nr *v1alpha1.NotificationRequest) []string {
	var all []string
	for _, a := range nr.Status.Attempts {
		all = append(all, fmt.Sprintf("%d:%d:%s", a.Channel, a.Attempt, a.State))
	}
	return all
}

// everything is all that is known of a request: its JSON, entries included, and its Events.
func (p *process) everything(nr *v1alpha1.NotificationRequest) string {
	GinkgoHelper()
	text, err := json.Marshal(p.f.get(nr))
	Expect(err).NotTo(HaveOccurred())
	all := string(text)
	for {
		select {
		case e := <-p.recorder.Events:
			all += "\n" + e
		default:
			return all
		}
	}
}
