package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
)

// scale looks at `holdfast manager` with many resources, and at a table with many rows.
func scale(ctx context.Context, b *bench) error {
	namespace := b.env.Namespace(ctx, "scale")
	counts := []int{b.size(1000), b.size(10_000)}
	if b.full {
		counts = append(counts, 50_000)
	}
	have := 0
	for _, n := range counts {
		if err := b.awaitApproval(ctx, namespace, have, n); err != nil {
			return err
		}
		have = n
		if err := liveResources(ctx, b, namespace, n); err != nil {
			return err
		}
	}
	return manyRows(ctx, b)
}

// liveResources starts a manager on so many open resources, and takes its memory and CPU when idle and at work.
func liveResources(ctx context.Context, b *bench, namespace string, n int) error {
	url, database, err := b.connectNew(ctx)
	if err != nil {
		return err
	}
	defer database.Close(context.WithoutCancel(ctx))
	if err := b.env.Client.Create(ctx, testenv.MakeNotification(namespace, fmt.Sprintf("first-of-%d", n)).Obj()); err != nil {
		return err
	}
	manager, err := b.startManager(ctx, b.env.Cluster.Kubeconfig(), url, "--namespaces", namespace)
	if err != nil {
		return err
	}
	defer func() { _ = manager.end() }()
	started, err := firstCommit(ctx, database)
	if err != nil {
		return err
	}
	if err := pause(time.Duration(b.size(10)) * time.Second)(ctx); err != nil { // the initial lists become garbage
		return err
	}
	idle, err := manager.cores(ctx, pause(time.Duration(b.size(10))*time.Second))
	if err != nil {
		return err
	}
	resident := manager.memory("VmRSS")
	before, err := b.serverWrites(ctx, v1alpha1.GroupVersion.Group)
	if err != nil {
		return err
	}
	begin := time.Now()
	busy, err := manager.cores(ctx, func(ctx context.Context) error { return b.notify(ctx, namespace, n, b.size(10)) })
	if err != nil {
		return err
	}
	after, err := b.serverWrites(ctx, v1alpha1.GroupVersion.Group)
	if err != nil {
		return err
	}
	target := ""
	if n == 10_000 {
		target = "<= 300"
	}
	name := fmt.Sprintf("%d live resources: ", n)
	b.report.add("scale", name+"manager's start → first row", "s", "", started.Sub(manager.began).Seconds())
	b.report.add("scale", name+"idle: CPU", "cores", "", idle)
	b.report.add("scale", name+"idle: memory", "MiB", "", resident)
	b.report.add("scale", name+"at work: writes", "a second", "", after.since(before).total()/time.Since(begin).Seconds())
	b.report.add("scale", name+"at work: CPU", "cores", "", busy)
	b.report.add("scale", name+"at work: memory", "MiB", target, manager.memory("VmRSS"))
	b.report.add("scale", name+"memory at its highest", "MiB", "", manager.memory("VmHWM"))
	return nil
}

func firstCommit(ctx context.Context, c *pgx.Conn) (at time.Time, _ error) {
	err := wait.PollUntilContextCancel(ctx, testenv.Interval, true, func(ctx context.Context) (bool, error) {
		var first *time.Time
		if err := c.QueryRow(ctx, "SELECT min(created_at) FROM notification_audit").Scan(&first); err != nil || first == nil {
			return false, err
		}
		at = *first
		return true, nil
	})
	return at, err
}

// notify has the manager tell people of something, ten times a second: some five writes each, one of them ours.
func (b *bench) notify(ctx context.Context, namespace string, series, seconds int) error {
	return pace(ctx, 10*seconds, 10, func(i int, _ time.Time) {
		if err := b.env.Client.Create(ctx, testenv.MakeNotification(namespace, fmt.Sprintf("news-%d-%04d", series, i)).Obj()); err != nil && ctx.Err() == nil {
			b.report.fail("scale", err)
		}
	})
}

// awaitApproval makes open analyses, as they are while a person is asked: three entries long since drained, and a status of some 2 KB.
func (b *bench) awaitApproval(ctx context.Context, namespace string, from, to int) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(32)
	for i := from; i < to; i++ {
		group.Go(func() error {
			a := analysis(namespace, fmt.Sprintf("analysis-%05d", i))
			status := a.Status
			if err := b.env.Client.Create(ctx, a); err != nil {
				return err
			}
			a.Status = status
			for j := range 3 {
				next, _, err := entry.Append(a.Status.Outbox, entry.SourceOf(a), entry.Change{
					Kind: entry.KindAIDecision, Event: "Investigating", Phase: "Investigating", Record: map[string]int{"n": j},
				}, time.Now(), entry.Salt{}, entry.DefaultLimits())
				if err != nil {
					return err
				}
				a.Status.Outbox = next
			}
			o := a.Status.Outbox
			o.SetEntries([]outboxapi.Entry{})
			o.PersistedSequence, o.PersistedTime = o.LastSequence, outboxapi.NewTimePointer(time.Now())
			return b.env.Client.Status().Update(ctx, a)
		})
	}
	return group.Wait()
}

func analysis(namespace, name string) *v1alpha1.AIAnalysis {
	a := &v1alpha1.AIAnalysis{}
	a.Namespace, a.Name, a.Finalizers = namespace, name, []string{outbox.Finalizer}
	request := testenv.MakeRemediation(namespace, name).Obj()
	a.Spec = v1alpha1.AIAnalysisSpec{
		RemediationRef: v1alpha1.RemediationRef{Name: name, UID: types.UID(uuid.NewString())},
		Signal:         request.Spec.Signal, Target: request.Spec.Target, ApprovalTimeout: &metav1.Duration{Duration: 720 * time.Hour},
	}
	now := outboxapi.NewTime(time.Now())
	alternative := func(action string) v1alpha1.Alternative {
		return v1alpha1.Alternative{Action: action, Confidence: 20, RejectedReason: "The containers end with exit code 1 soon after their start, which more of them, or more memory, would not change."}
	}
	a.Status = v1alpha1.AIAnalysisStatus{
		Phase:               v1alpha1.AnalysisAwaitingApproval,
		Investigation:       &v1alpha1.Investigation{Investigator: "rules", Attempt: 1, StartedTime: now, CompletedTime: &now, ResponseTimeMilliseconds: ptr.To[int64](40)},
		RootCause:           "Container main of pod cart-6d4b75cb6d-hwxrk has crashed 5 times since the rollout of revision 2, which changed its image; revision 1 ran without a crash.",
		RootCauseConfidence: ptr.To[int32](90),
		Recommendation: &v1alpha1.Recommendation{WorkflowID: "undo-rollout", Action: "RolloutUndo", Confidence: 85, Parameters: map[string]string{"revision": "1"},
			Rationale: "The crashes began with the rollout, and the revision before is still there."},
		Alternatives: []v1alpha1.Alternative{alternative("RestartPods"), alternative("Scale"), alternative("SetResources")},
		Approval:     &v1alpha1.Approval{Required: true, RequestedTime: &now},
	}
	return a
}

// manyRows compares the rate of inserts into an empty table with that into a large one.
func manyRows(ctx context.Context, b *bench) error {
	s, err := b.newStore(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	sizes := []int{0, b.size(1_000_000)}
	if b.full {
		sizes = append(sizes, 10_000_000)
	}
	rows := 0
	var empty sample
	for _, size := range sizes {
		if err := multiply(ctx, s, rows, size); err != nil {
			return err
		}
		rows = max(rows, size)
		rates := sample{}
		for range b.rounds(5) {
			items, err := entriesOf(b.size(10_000), orchestrations)
			if err != nil {
				return err
			}
			rate, err := persistRate(ctx, s, items, 1000)
			if err != nil {
				return err
			}
			rates = append(rates, rate)
		}
		name := fmt.Sprintf("a table of %d rows: ", size)
		b.report.add("scale", name+"Persist", "rows/s", "", rates...)
		if size == 0 {
			empty = rates
			continue
		}
		b.report.add("scale", name+"Persist ÷ into an empty one", "", "", rates.over(empty)...)
		var perRow float64
		if err := s.DB().QueryRowContext(ctx, "SELECT pg_total_relation_size(?)::float / (SELECT count(*) FROM orchestration_audit)", models.TableOrchestration).Scan(&perRow); err != nil {
			return err
		}
		b.report.add("scale", name+"table and indexes", "bytes a row", "", perRow)
	}
	return nil
}

// multiply repeats a row that is there, ten a resource, with ids in the order of time as they come.
func multiply(ctx context.Context, s *postgres.Store, from, to int) error {
	if from == to {
		return nil
	}
	_, err := s.DB().ExecContext(ctx, fmt.Sprintf(`DO $$ DECLARE columns text; BEGIN
		SELECT string_agg(column_name, ', ') INTO columns FROM information_schema.columns
			WHERE table_name = 'orchestration_audit' AND column_name NOT IN ('id', 'source_uid', 'sequence', 'created_at', 'tx') AND is_generated = 'NEVER';
		EXECUTE format('INSERT INTO orchestration_audit (id, source_uid, sequence, %%1$s)
			SELECT (lpad(to_hex(1760000000000 + g), 12, ''0'') || ''8'' || substr(md5(g::text), 1, 3) || ''8'' || substr(md5(g::text), 4, 15))::uuid,
				md5((g / 10)::text)::uuid, g %%%% 10 + 1, %%1$s
			FROM (SELECT * FROM orchestration_audit LIMIT 1) model, generate_series(%d, %d) g', columns);
	END $$`, from, to-1))
	if err != nil {
		return fmt.Errorf("fill the table: %w", err)
	}
	_, err = s.DB().ExecContext(ctx, "ANALYZE orchestration_audit")
	return err
}
