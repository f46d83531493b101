//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/jackc/pgx/v5"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/config"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/internal/testenv/monitor"
	"github.com/holdfast-dev/holdfast/migrations"
	"github.com/holdfast-dev/holdfast/shard"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

const (
	// hardEntries is the managers' limit of an outbox, low enough to be reached.
	hardEntries = 40

	managerGrace = 20 * time.Second
	// readyTimeout of a manager: the machine may be busy.
	readyTimeout = 3 * time.Minute
)

// world is what all schedules share.
type world struct {
	drain    drain
	dir      string
	program  string
	cluster  *localcluster.Cluster
	postgres *localcluster.Postgres
	// standbys are there during the faults that need some, which make one the database.
	standbys []*localcluster.Postgres
	// pooler is in front of PostgreSQL across failovers, and disk the size of a server's own, if it has one.
	pooler *localcluster.Pooler
	disk   int
	// databaseProxy is in front of PostgreSQL, or of the pooler; database is the URL through it.
	databaseProxy *toxiproxy.Proxy
	database      string
	oracle        *oracle.Oracle
	client        client.Client
	// manager is the one that works, and part what it looks after; faults replace it. Only one goroutine at a time inflicts such faults.
	manager *localcluster.Running
	part    shard.Shard
	// other looks after the rest, see turn; nil where the manager looks after everything.
	other *seat
	// service is the one that takes entries, and serviceProxy what is in front of it; nil where managers drain into the database. token is the managers'.
	service      *localcluster.Running
	serviceProxy *toxiproxy.Proxy
	token        string
	// metrics is the manager's address that monitor scrapes; nil where there is no Prometheus.
	metrics string
	monitor *monitor.Prometheus
	// stage is that of the schedule under way.
	stage *stage
	// lost are the ids of entries that may be lost, since only a primary had them that is gone, and lossy the namespaces of such failovers: see forfeit.
	lost  sets.Set[string]
	lossy map[string]bool
	// started are all managers and services, also those that were killed.
	started []*localcluster.Running
}

// start builds the world; on failure nothing of it is left.
func start(ctx context.Context, to drain, dir string, progress io.Writer) (*world, error) {
	w := &world{drain: to, dir: dir, program: filepath.Join(dir, "holdfast"), lost: sets.New[string](), lossy: map[string]bool{}}
	if err := w.bringUp(ctx, progress); err != nil {
		return nil, errors.Join(err, w.stop())
	}
	return w, nil
}

func (w *world) bringUp(ctx context.Context, progress io.Writer) (err error) {
	if err := testenv.BuildProgram(ctx, w.program, progress); err != nil {
		return err
	}
	if w.cluster, err = localcluster.Start(ctx, localcluster.Options{Profile: localcluster.ControlPlane, Progress: progress}); err != nil {
		return err
	}
	if err := config.Install(ctx, w.cluster.RESTConfig(), nil); err != nil {
		return err
	}
	if err := w.startPostgres(ctx, progress); err != nil {
		return err
	}
	if err := migrations.Up(ctx, w.postgres.URL(), io.Discard); err != nil {
		return err
	}
	if err := commitLater(ctx, w.postgres.URL()); err != nil {
		return err
	}
	front, err := w.front(ctx)
	if err != nil {
		return err
	}
	if w.databaseProxy, w.database, err = proxied(front); err != nil {
		return err
	}
	if err := w.watch(ctx, progress); err != nil {
		return err
	}
	if w.client, err = client.New(w.cluster.RESTConfig(), client.Options{Scheme: testenv.Scheme()}); err != nil {
		return err
	}
	if w.oracle, err = oracle.Start(ctx, w.cluster.RESTConfig()); err != nil {
		return err
	}
	if w.drain == overAPI {
		if w.token, err = newToken(ctx, w.client); err != nil {
			return err
		}
		if err := w.startService(ctx); err != nil {
			return err
		}
	}
	if w.drain == acrossShards {
		w.part, w.other = shard.Shard{Index: 0, Total: 2}, &seat{part: shard.Shard{Index: 1, Total: 2}}
		return w.startBoth(ctx)
	}
	return w.startManager(ctx)
}

// commitLater makes asynchronous commits the database's default, and leaves them out of the log for as long as PostgreSQL can: what relies on the default
// loses rows when the server is killed.
func commitLater(ctx context.Context, database string) error {
	c, err := pgx.Connect(ctx, database)
	if err != nil {
		return fmt.Errorf("make commits asynchronous: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	for _, statement := range []string{
		"ALTER DATABASE " + pgx.Identifier{c.Config().Database}.Sanitize() + " SET synchronous_commit = off",
		"ALTER SYSTEM SET wal_writer_delay = '10s'",
		"SELECT pg_reload_conf()",
	} {
		if _, err := c.Exec(ctx, statement); err != nil {
			return fmt.Errorf("make commits asynchronous: %s: %w", statement, err)
		}
	}
	return nil
}

// stop may be called on a half-built world.
func (w *world) stop() error {
	var errs []error
	for _, m := range w.started {
		errs = append(errs, m.Kill())
	}
	if w.oracle != nil {
		w.oracle.Stop()
	}
	for _, proxy := range w.proxies() {
		proxy.Stop()
	}
	if w.monitor != nil {
		errs = append(errs, w.monitor.Stop())
	}
	if w.pooler != nil {
		errs = append(errs, w.pooler.Close())
	}
	for _, p := range append(w.standbys, w.postgres) {
		if p != nil {
			errs = append(errs, p.Close())
		}
	}
	if w.cluster != nil {
		errs = append(errs, w.cluster.Stop())
	}
	return errors.Join(errs...)
}

// proxies are those that there are.
func (w *world) proxies() []*toxiproxy.Proxy {
	return slices.DeleteFunc([]*toxiproxy.Proxy{w.databaseProxy, w.serviceProxy}, func(p *toxiproxy.Proxy) bool { return p == nil })
}

// sink is where managers drain to. Those that drain to a service do not learn of the database.
func (w *world) sink() []string {
	if w.drain == overAPI {
		return []string{"HOLDFAST_STORE_URL=http://" + w.serviceProxy.Listen, "HOLDFAST_STORE_TOKEN=" + w.token}
	}
	return []string{"HOLDFAST_DATABASE_URL=" + w.database}
}

// startManager starts a manager, which becomes the one that works.
func (w *world) startManager(ctx context.Context) error {
	m, err := w.runManager(ctx, w.part)
	if err != nil {
		return err
	}
	w.manager = m
	return nil
}

// runManager starts a manager for a part of the resources, with more flags.
func (w *world) runManager(ctx context.Context, part shard.Shard, more ...string) (*localcluster.Running, error) {
	health, err := localcluster.FreeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{"manager", "--metrics-bind-address", cmp.Or(w.metrics, "0"), "--health-probe-bind-address", health, "--idle-trim-delay=500ms", "--outbox-hard-entries", strconv.Itoa(hardEntries)}
	if !part.Whole() {
		args = append(args, "--shard", strconv.Itoa(part.Index), "--total-shards", strconv.Itoa(part.Total))
	}
	m, err := localcluster.StartProgram(ctx, localcluster.Program{
		Name:         "manager",
		Path:         w.program,
		Args:         append(args, more...),
		Env:          append(w.sink(), "KUBECONFIG="+w.cluster.Kubeconfig()),
		Log:          filepath.Join(w.dir, "manager.log"),
		Ready:        localcluster.Answers("http://" + health + "/readyz"),
		ReadyTimeout: readyTimeout,
	})
	if err != nil {
		return nil, err
	}
	w.started = append(w.started, m)
	return m, nil
}

// fix makes everything work again after the faults. A manager or a service that ended by itself, which nothing should make it do, is an error.
func (w *world) fix(ctx context.Context) error {
	for _, proxy := range w.proxies() {
		proxy.Toxics.ResetToxics(ctx)
	}
	if err := w.revivePostgres(ctx); err != nil { // a fault that failed in the middle
		return err
	}
	err := startAgain(ctx, w.manager, w.startManager)
	if w.other != nil {
		w.turn()
		err = errors.Join(err, startAgain(ctx, w.manager, w.startManager))
	}
	if w.service != nil {
		err = errors.Join(err, startAgain(ctx, w.service, w.startService))
	}
	return err
}

// startAgain starts a program again that has ended.
func startAgain(ctx context.Context, r *localcluster.Running, start func(context.Context) error) error {
	select {
	case <-r.Done():
		return errors.Join(r.Failure(), start(ctx))
	default:
		return nil
	}
}

// ask runs a question on a connection of its own: the server may have been restarted since the last one.
func ask[T any](ctx context.Context, w *world, question func(*pgx.Conn) (T, error)) (T, error) {
	connection, err := pgx.Connect(ctx, w.postgres.URL())
	if err != nil {
		var nothing T
		return nothing, fmt.Errorf("ask the database: %w", err)
	}
	defer connection.Close(context.WithoutCancel(ctx))
	return question(connection)
}

// judge waits for the oracle: the API server says that a resource is gone before a watch does.
func (w *world) judge(ctx context.Context, namespaces ...string) (oracle.Report, error) {
	if err := until(ctx, w.oracle.CaughtUp); err != nil {
		return oracle.Report{}, err
	}
	return ask(ctx, w, func(c *pgx.Conn) (oracle.Report, error) { return w.oracle.Judge(ctx, c, namespaces...) })
}

// missing counts the ids that are not stored, and must be.
func (w *world) missing(ctx context.Context, ids []string) (int, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), w.lost.Has)
	return ask(ctx, w, func(c *pgx.Conn) (int, error) { return oracle.Missing(ctx, c, ids) })
}
