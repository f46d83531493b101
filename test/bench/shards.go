package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/shard"
)

// shards compares one manager with two that have a shard each, and then moves shards while they work.
func shards(ctx context.Context, b *bench) error {
	namespace := b.env.Namespace(ctx, "shards")
	live, rounds := b.size(2000), 4
	if b.full {
		live, rounds = 10_000, 5
	}
	if err := b.awaitApproval(ctx, namespace, 0, live); err != nil {
		return err
	}
	crews := [2]crew{}
	for round := range b.rounds(rounds) {
		for at := range crews {
			i := (at + round) % len(crews) // each round in the other order
			if err := crews[i].run(ctx, b, namespace, i+1, fmt.Sprintf("round-%d-%d", round, i)); err != nil {
				return err
			}
		}
	}
	for i, name := range []string{"one manager: ", "two managers, a shard each: "} {
		name = fmt.Sprintf("%d live resources, %s", live, name)
		b.report.add("shards", name+"notifications", "a second", "", crews[i].rate...)
		b.report.add("shards", name+"CPU of the managers", "ms each", "", crews[i].managers...)
		b.report.add("shards", name+"CPU of the API server", "ms each", "", crews[i].apiServer...)
		b.report.add("shards", name+"memory of a manager", "MiB", "", crews[i].memory...)
		b.report.add("shards", name+"its heap after a collection", "MiB", "", crews[i].heap...)
	}
	b.report.add("shards", "two ÷ one: notifications a second", "", "", crews[1].rate.over(crews[0].rate)...)
	b.report.add("shards", "two ÷ one: CPU of the managers", "", "", crews[1].managers.over(crews[0].managers)...)
	b.report.add("shards", "two ÷ one: memory of a manager", "", "", crews[1].memory.over(crews[0].memory)...)
	b.report.add("shards", "two ÷ one: its heap after a collection", "", "", crews[1].heap.over(crews[0].heap)...)
	return moveShards(ctx, b)
}

// crew is so many managers, and what its rounds gave. CPU is that of all of them for a notification, memory that of the larger. Memory has garbage in it; the heap is what the last
// collection left: half of the size at which the next one begins.
type crew struct{ rate, managers, apiServer, memory, heap sample }

// run lets the managers tell people of something, as fast as it is asked for by 16 writers.
func (c *crew) run(ctx context.Context, b *bench, namespace string, total int, name string) error {
	url, database, err := b.connectNew(ctx)
	if err != nil {
		return err
	}
	defer database.Close(context.WithoutCancel(ctx))
	managers, err := b.startShards(ctx, url, total, "--namespaces", namespace)
	defer func() {
		for _, m := range managers {
			_ = m.end()
		}
	}()
	if err != nil {
		return err
	}
	// Until each shows a row, it reads what is there.
	for i := range total {
		n := noticeIn(namespace, fmt.Sprintf("%s-first-%d", name, i), shard.Shard{Index: i, Total: total})
		if err := b.env.Client.Create(ctx, n); err != nil {
			return err
		}
	}
	if err := awaitRows(ctx, database, 2*total); err != nil {
		return err
	}
	work := b.size(600)
	before, cpu, began := used(), processors(managers), time.Now()
	group, writing := errgroup.WithContext(ctx)
	group.SetLimit(16)
	for i := range work {
		group.Go(func() error {
			return b.env.Client.Create(writing, noticeIn(namespace, fmt.Sprintf("%s-%04d", name, i), shard.Shard{}))
		})
	}
	if err := errors.Join(group.Wait(), awaitRows(ctx, database, 2*(total+work))); err != nil {
		return err
	}
	each := 1000 / float64(work)
	c.rate = append(c.rate, float64(work)/time.Since(began).Seconds())
	c.managers = append(c.managers, (processors(managers)-cpu)*each)
	c.apiServer = append(c.apiServer, used().minus(before).apiServer*each)
	memory, heap := 0.0, 0.0
	for _, m := range managers {
		next, err := metric(ctx, m.url, "go_memstats_next_gc_bytes")
		if err != nil {
			return err
		}
		memory, heap = max(memory, m.memory("VmRSS")), max(heap, next/2/(1<<20))
	}
	c.memory, c.heap = append(c.memory, memory), append(c.heap, heap)
	return nil
}

func processors(all []*process) float64 {
	sum := 0.0
	for _, p := range all {
		sum += p.processor()
	}
	return sum
}

// startShards starts a manager for each of the shards at once. Those that were started are returned with an error too.
func (b *bench) startShards(ctx context.Context, database string, total int, args ...string) (started []*process, _ error) {
	all := make([]*process, total)
	var group errgroup.Group
	for i := range total {
		group.Go(func() (err error) {
			all[i], err = b.startShard(ctx, database, i, total, args...)
			return err
		})
	}
	err := group.Wait()
	for _, p := range all {
		if p != nil {
			started = append(started, p)
		}
	}
	return started, err
}

func (b *bench) startShard(ctx context.Context, database string, index, total int, args ...string) (*process, error) {
	args = append([]string{"--shard", strconv.Itoa(index), "--total-shards", strconv.Itoa(total)}, args...)
	return b.startManager(ctx, b.env.Cluster.Kubeconfig(), database, args...)
}

// noticeIn is a notification of a remediation in a shard. Two entries come of it, or more if a manager dies over it: an attempt that nobody finishes is given up after two seconds.
func noticeIn(namespace, name string, in shard.Shard) *v1alpha1.NotificationRequest {
	n := testenv.MakeNotification(namespace, name).Obj()
	n.Spec.Retry = v1alpha1.RetryPolicy{MaxAttempts: 5, Timeout: &metav1.Duration{Duration: 2 * time.Second}}
	remediation := uuid.NewString()
	for !in.Owns(remediation) {
		remediation = uuid.NewString()
	}
	n.Spec.RemediationRef.UID = types.UID(remediation)
	return n
}

func awaitRows(ctx context.Context, c *pgx.Conn, want int) error {
	have := 0
	err := wait.PollUntilContextTimeout(ctx, testenv.Interval/5, testenv.LongTimeout, true, func(ctx context.Context) (bool, error) {
		err := c.QueryRow(ctx, "SELECT count(*) FROM notification_audit").Scan(&have)
		return have >= want, err
	})
	if err != nil {
		return fmt.Errorf("%d of %d rows: %w", have, want, err)
	}
	return nil
}
