package recovery

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
)

var (
	env     *testenv.Env
	program string
	ctx     = context.Background()
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "holdfast-recovery-")
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "holdfast")
	if err := testenv.BuildProgram(ctx, program, os.Stdout); err != nil {
		fmt.Println(err)
		return 1
	}
	return testenv.Main(m, &env)
}

// fixture is a namespace and a database of its own, and whoever appends.
type fixture struct {
	*WithT
	t         *testing.T
	namespace string
	writer    *outbox.Writer
	dir       string
}

var databases atomic.Int32

func setup(t *testing.T) *fixture {
	f := &fixture{WithT: NewWithT(t), t: t, dir: t.TempDir(), writer: outbox.NewWriter(env.Client, env.Client, &testenv.Watermarks{})}
	f.SetDefaultEventuallyTimeout(testenv.LongTimeout)
	f.SetDefaultEventuallyPollingInterval(testenv.Interval)
	f.namespace = env.Namespace(ctx, "recovery")
	f.newDatabase()
	return f
}

// newDatabase is what managers and commands use from now on.
func (f *fixture) newDatabase() {
	var err error
	env.DatabaseURL, err = env.Database(ctx, fmt.Sprintf("recovery_%d", databases.Add(1)))
	f.Expect(err).NotTo(HaveOccurred())
}

// manager runs the relay until it is stopped.
func (f *fixture) manager() (stop func()) {
	end, err := env.StartManagerWith(relay.Config{IdleTrimDelay: time.Millisecond}, nil)
	f.Expect(err).NotTo(HaveOccurred())
	f.t.Cleanup(func() { f.Expect(end()).To(Succeed()) })
	return func() { f.Expect(end()).To(Succeed()) }
}

type answer struct {
	Status         int
	Stdout, Stderr string
}

// holdfast runs a command as an operator does.
func (f *fixture) holdfast(args ...string) answer {
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+env.Cluster.Kubeconfig(), "HOLDFAST_DATABASE_URL="+env.DatabaseURL)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
		f.Expect(err).NotTo(HaveOccurred())
	}
	f.t.Logf("$ holdfast %v: %d\n%s%s", args, cmd.ProcessState.ExitCode(), stdout.String(), stderr.String())
	return answer{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (f *fixture) in(name string) string { return filepath.Join(f.dir, name) }

func (f *fixture) create(name string) *v1alpha1.NotificationRequest {
	obj := testenv.MakeNotification(f.namespace, name).Obj()
	// For some seconds after its restart the API server does not know the kinds' schemas, which the policy for the finalizer needs, and answers 503.
	f.Eventually(func() error { return env.Client.Create(ctx, obj) }).Should(Succeed())
	f.t.Cleanup(func() { // verify sees the resources of all tests
		f.Expect(env.Vanish(ctx, obj)).To(Succeed())
	})
	return obj
}

// append saves n entries; the last may close the record.
func (f *fixture) append(obj *v1alpha1.NotificationRequest, n int, event string, final bool) {
	for i := range n {
		f.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), obj)).To(Succeed())
		f.Expect(f.writer.Draft(obj).Save(ctx, &entry.Change{Kind: entry.KindNotification, Event: event, Phase: "Sending", Final: final && i == n-1,
			Record: models.Notification{RemediationID: "r", NotificationRequestedAt: outboxapi.NewTime(obj.CreationTimestamp.Time)}})).To(Succeed())
	}
}

func (f *fixture) remove(obj client.Object) { f.Expect(env.Client.Delete(ctx, obj)).To(Succeed()) }

func (f *fixture) gone(obj client.Object) func() bool {
	return func() bool {
		return apierrors.IsNotFound(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), &v1alpha1.NotificationRequest{}))
	}
}

// drained waits until everything of a resource is durable and trimmed.
func (f *fixture) drained(obj *v1alpha1.NotificationRequest) {
	f.Eventually(func(g Gomega) {
		got := &v1alpha1.NotificationRequest{}
		g.Expect(env.Client.Get(ctx, client.ObjectKeyFromObject(obj), got)).To(Succeed())
		g.Expect(got.Status.Outbox.Entries).To(BeEmpty())
	}).Should(Succeed())
}

// sequences are those of a resource's rows, in order.
func (f *fixture) sequences(uid types.UID) func() []int64 {
	return func() []int64 {
		rows, err := env.Rows(ctx, "notification_audit", uid)
		f.Expect(err).NotTo(HaveOccurred())
		var all []int64
		for _, row := range rows {
			all = append(all, row["sequence"].(int64))
		}
		return all
	}
}

// sql runs statements beside the databases of the tests.
func (f *fixture) sql(statements ...string) {
	u, err := url.Parse(env.DatabaseURL)
	f.Expect(err).NotTo(HaveOccurred())
	u.Path = "/postgres"
	db, err := pgx.Connect(ctx, u.String())
	f.Expect(err).NotTo(HaveOccurred())
	defer db.Close(ctx)
	for _, s := range statements {
		_, err := db.Exec(ctx, s)
		f.Expect(err).NotTo(HaveOccurred(), s)
	}
}

func (f *fixture) database() string {
	u, err := url.Parse(env.DatabaseURL)
	f.Expect(err).NotTo(HaveOccurred())
	return u.Path[1:]
}

// backUp copies the database as it is on the disk, and restore puts the copy in its place.
func (f *fixture) backUp() (name string) {
	name = f.database() + "_backup"
	f.sql("CREATE DATABASE " + name + " TEMPLATE " + f.database())
	return name
}

func (f *fixture) restore(from string) {
	f.sql("DROP DATABASE "+f.database()+" WITH (FORCE)", "CREATE DATABASE "+f.database()+" TEMPLATE "+from)
}
