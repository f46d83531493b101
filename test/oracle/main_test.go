package oracle_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

var (
	env *testenv.Env
	ctx = context.Background()
)

func TestMain(m *testing.M) { os.Exit(testenv.MainWithoutFinalizerPolicy(m, &env)) }

// fixture is a namespace with an oracle that watched from before it was made, and a producer.
type fixture struct {
	*WithT
	t         *testing.T
	namespace string
	oracle    *oracle.Oracle
	database  *pgx.Conn
	writer    *outbox.Writer
}

func setup(t *testing.T, watched *rest.Config) *fixture {
	f := &fixture{WithT: NewWithT(t), t: t}
	f.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	f.SetDefaultEventuallyPollingInterval(testenv.Interval)
	var err error
	f.oracle, err = oracle.Start(ctx, watched)
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(f.oracle.Stop)
	f.database, err = pgx.Connect(ctx, env.DatabaseURL)
	f.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { f.Expect(f.database.Close(ctx)).To(Succeed()) })
	f.namespace = env.Namespace(ctx, "oracle")
	return f
}

// relay drains until the end of the test.
func (f *fixture) relay() {
	stop, err := env.StartManagerWith(relay.Config{IdleTrimDelay: 1}, func(_ ctrl.Manager, w *outbox.Writer) error { f.writer = w; return nil })
	f.Expect(err).NotTo(HaveOccurred())
	f.t.Cleanup(func() { f.Expect(stop()).To(Succeed()) })
}

func (f *fixture) create(name string) *v1alpha1.NotificationRequest {
	obj := testenv.MakeNotification(f.namespace, name).Obj()
	f.Expect(env.Client.Create(ctx, obj)).To(Succeed())
	return obj
}

// append saves n entries; the last closes the record if final.
func (f *fixture) append(obj *v1alpha1.NotificationRequest, n int, final bool) {
	for i := range n {
		f.save(obj, final && i == n-1, obj.CreationTimestamp.Time)
	}
}

// save appends one entry; what is no time for requested makes it a dead letter.
func (f *fixture) save(obj *v1alpha1.NotificationRequest, final bool, requested any) {
	f.Eventually(func() error {
		if err := env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj); err != nil {
			return err
		}
		return f.writer.Draft(obj).Save(ctx, &entry.Change{Kind: entry.KindNotification, Event: "Attempted", Phase: "Sending", Final: final, Record: map[string]any{
			"remediation_id": string(obj.UID), "notification_requested_at": requested, "subject": "naïve <b>&\u2028", "channels": []string{"console"},
			"delivery_attempts": []any{map[string]any{"channel": "console", "attempt": 1, "status": "success", "duration": 12, "error": "5 > 4.50"}},
		}})
	}).Should(Succeed())
}

func (f *fixture) delete(obj client.Object) {
	f.Expect(client.IgnoreNotFound(env.Client.Delete(ctx, obj))).To(Succeed())
}

func (f *fixture) gone(obj client.Object) func() bool {
	return func() bool {
		err := env.Client.Get(ctx, client.ObjectKeyFromObject(obj), &v1alpha1.NotificationRequest{})
		return err != nil && client.IgnoreNotFound(err) == nil
	}
}

func (f *fixture) judge(db oracle.Querier) oracle.Report {
	report, err := f.oracle.Judge(ctx, db, f.namespace)
	f.Expect(err).NotTo(HaveOccurred())
	return report
}

// clean waits for a clean report.
func (f *fixture) clean() oracle.Report {
	var report oracle.Report
	f.Eventually(func() ([]oracle.Difference, error) {
		if err := f.oracle.CaughtUp(ctx); err != nil {
			return nil, err
		}
		report = f.judge(f.database)
		return report.Differences, nil
	}).Should(BeEmpty())
	return report
}

// edit changes a resource's outbox behind everybody's back.
func (f *fixture) edit(obj *v1alpha1.NotificationRequest, change func(*outboxapi.Outbox)) {
	f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
	change(obj.Status.Outbox)
	f.Expect(env.Client.Status().Update(ctx, obj)).To(Succeed())
}

func strip(obj client.Object) error {
	return env.Client.Patch(ctx, obj, client.RawPatch(types.MergePatchType, fmt.Appendf(nil, `{"metadata":{"finalizers":null}}`)))
}
