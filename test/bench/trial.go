package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

// arm is what is compared.
type arm int

const (
	bare    arm = iota // a status without any outbox
	plain              // one with as many bytes as an audited status, of the same shape: an entry as plain data
	text               // one with as many bytes in one text
	audited            // with an outbox and a running relay
)

func (a arm) String() string {
	return [...]string{bare: "without outbox", plain: "plain of the same bytes and shape", text: "plain of the same bytes in one text", audited: "audited"}[a]
}

// trial is one run of a controller over tickets of its own.
type trial struct {
	arm       arm
	resources int
	changes   int
	writers   int
	// life has tickets made and deleted within the clock; the last change closes the record.
	life bool
	// filling of a status, if it is a plain one.
	filling filling
	// database of an audited one, as a URL; "": a new one.
	database string
}

// outcome of a trial. Bytes is the mean body of a status write; writes to the API server, objects that it allocated, and ms of CPU are those of a change,
// whoever caused them.
type outcome struct {
	perSecond float64
	bytes     float64
	writes    float64
	objects   float64
	cpu       usage
}

// run begins with nothing left over: a namespace, a manager and, for audited, a database of its own. The clock runs from the moment when the controller
// may work until its last write is answered; audited, until the last row is durable, too; with life, until the last ticket is gone.
func (b *bench) run(ctx context.Context, t trial) (outcome, error) {
	namespace := b.env.Namespace(ctx, "trial")
	meter := &meter{}
	mgr, err := newManager(b.env, b.of(t.arm), namespace, meter.wrap)
	if err != nil {
		return outcome{}, err
	}
	r := &reconciler{client: mgr.GetClient(), changes: t.changes, life: t.life, open: make(chan struct{}), done: make(chan struct{})}
	switch t.arm {
	case plain:
		r.filling = t.filling
	case text:
		r.filling = t.filling.asText()
	}
	r.left.Store(int64(t.resources))
	durable := make(chan struct{})
	if t.arm == audited {
		if t.database == "" {
			if t.database, err = b.newDatabase(ctx); err != nil {
				return outcome{}, err
			}
		}
		s, err := postgres.Open(ctx, t.database, postgres.Options{})
		if err != nil {
			return outcome{}, err
		}
		defer s.Close()
		w := newWitness(s, t.resources*t.changes, nil)
		drained, err := relay.Add(mgr, w, relay.Config{}, &Ticket{})
		if err != nil {
			return outcome{}, err
		}
		durable = w.reached
		r.writer = outbox.NewWriter(mgr.GetClient(), mgr.GetAPIReader(), drained)
	} else {
		close(durable)
	}
	if err := r.setUp(mgr, t.writers); err != nil {
		return outcome{}, err
	}
	if !t.life {
		if err := b.makeTickets(ctx, b.of(t.arm).client, namespace, t); err != nil {
			return outcome{}, err
		}
	}
	stop, err := testenv.Run(mgr)
	if err != nil {
		return outcome{}, err
	}
	objects, err := b.serverObjects(ctx)
	if err != nil {
		return outcome{}, errors.Join(err, stop())
	}
	before := used()
	seconds, err := r.time(ctx, durable, func() error {
		if !t.life {
			return nil
		}
		return b.makeTickets(ctx, mgr.GetClient(), namespace, t)
	})
	cpu := used().minus(before)
	after, notRead := b.serverObjects(ctx)
	if err := errors.Join(err, notRead, stop()); err != nil {
		return outcome{}, err
	}
	if err := b.of(t.arm).clear(ctx, namespace); err != nil {
		return outcome{}, err
	}
	changes := float64(t.resources * t.changes)
	return outcome{perSecond: changes / seconds, bytes: meter.mean(), writes: float64(meter.writes.Load()) / changes, objects: (after - objects) / changes, cpu: cpu.times(1000 / changes)}, nil
}

// time opens the gate, and waits until everything is done.
func (r *reconciler) time(ctx context.Context, durable <-chan struct{}, begin func() error) (seconds float64, _ error) {
	runtime.GC()
	start := time.Now()
	close(r.open)
	if err := begin(); err != nil {
		return 0, err
	}
	for _, end := range []<-chan struct{}{r.done, durable} {
		select {
		case <-end:
		case <-ctx.Done():
			return 0, fmt.Errorf("%d tickets are not done: %w", r.left.Load(), ctx.Err())
		}
	}
	return time.Since(start).Seconds(), nil
}

// makeTickets makes them with as many writers as the trial has. An audited one gets the finalizer from the policy.
func (b *bench) makeTickets(ctx context.Context, c client.Client, namespace string, t trial) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(t.writers)
	for i := range t.resources {
		group.Go(func() error {
			return c.Create(ctx, &Ticket{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("ticket-%04d", i)}, Spec: TicketSpec{Subject: "cart is slow"}})
		})
	}
	return group.Wait()
}

// newManager watches one namespace, as managers do: without managed fields.
func newManager(env *testenv.Env, of served, namespace string, wrap func(http.RoundTripper) http.RoundTripper) (ctrl.Manager, error) {
	config := rest.CopyConfig(env.Config)
	config.Wrap(wrap)
	return ctrl.NewManager(config, ctrl.Options{
		Scheme:     of.scheme,
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Controller: ctrlconfig.Controller{SkipNameValidation: ptr.To(true)},
		Cache:      cache.Options{DefaultTransform: cache.TransformStripManagedFields(), DefaultNamespaces: map[string]cache.Config{namespace: {}}},
	})
}

// meter counts what a manager writes to the API server.
type meter struct {
	writes, statuses, bytes atomic.Int64
}

func (m *meter) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodGet {
			m.writes.Add(1)
		}
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/status") {
			m.statuses.Add(1)
			m.bytes.Add(r.ContentLength)
		}
		return next.RoundTrip(r)
	})
}

// mean is the body of a status write, in bytes.
func (m *meter) mean() float64 { return float64(m.bytes.Load()) / float64(max(1, m.statuses.Load())) }

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
