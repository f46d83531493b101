//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/operator"
	"github.com/holdfast-dev/holdfast/shard"
)

const (
	// leaseNamespace is where managers with a standby have their lease.
	leaseNamespace = "default"
	// electionTimeout is more than a dead manager's lease lasts. It bounds a failure.
	electionTimeout = time.Minute
)

// seat is a manager with what it looks after.
type seat struct {
	manager *localcluster.Running
	part    shard.Shard
}

// turn makes the other manager the one that faults meet.
func (w *world) turn() {
	w.manager, w.other.manager = w.other.manager, w.manager
	w.part, w.other.part = w.other.part, w.part
}

// inTurns has each fault meet another manager than the one before.
func inTurns(all []fault) []fault {
	turning := make([]fault, 0, len(all))
	for _, f := range all {
		inflict := f.inflict
		f.inflict = func(ctx context.Context, w *world, hold time.Duration) error {
			w.turn()
			return inflict(ctx, w, hold)
		}
		turning = append(turning, f)
	}
	return turning
}

// shardFaults move shards from one manager to another.
var shardFaults = []fault{
	{name: "shards merged and divided", inflict: mergeAndDivide},
	{name: "shards merged and divided with overlap", inflict: overlap},
	{name: "shard taken over by a standby", inflict: takeOver},
}

// startBoth starts a manager for each shard.
func (w *world) startBoth(ctx context.Context) error {
	err := w.startManager(ctx)
	w.turn()
	return errors.Join(err, w.startManager(ctx))
}

func (w *world) stopBoth() error {
	return errors.Join(w.manager.Stop(managerGrace), w.other.manager.Stop(managerGrace))
}

// mergeAndDivide goes from two shards to one and back as docs/scaling.md has it: nobody works meanwhile.
func mergeAndDivide(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.stopBoth(); err != nil {
		return err
	}
	pass(ctx, hold)
	whole, err := w.runManager(ctx, shard.Shard{})
	if err != nil {
		return err
	}
	pass(ctx, hold)
	if err := whole.Stop(managerGrace); err != nil {
		return err
	}
	return w.startBoth(ctx)
}

// overlap does the same with managers of both numbers at work: for some time two of them take each resource for theirs.
func overlap(ctx context.Context, w *world, hold time.Duration) error {
	whole, err := w.runManager(ctx, shard.Shard{})
	if err != nil {
		return err
	}
	pass(ctx, hold)
	if err := w.stopBoth(); err != nil {
		return err
	}
	pass(ctx, hold)
	if err := w.startBoth(ctx); err != nil {
		return err
	}
	pass(ctx, hold)
	return whole.Kill()
}

// takeOver kills an elected manager whose standby waits for the shard's lease.
func takeOver(ctx context.Context, w *world, hold time.Duration) error {
	if err := w.manager.Stop(managerGrace); err != nil {
		return err
	}
	elect := []string{"--leader-elect", "--leader-elect-namespace", leaseNamespace}
	leader, err := w.runManager(ctx, w.part, elect...)
	if err != nil {
		return err
	}
	first, err := w.elected(ctx, "")
	if err != nil {
		return err
	}
	standby, err := w.runManager(ctx, w.part, elect...)
	if err != nil {
		return err
	}
	pass(ctx, hold)
	if err := leader.Kill(); err != nil {
		return err
	}
	if _, err := w.elected(ctx, first); err != nil {
		return err
	}
	pass(ctx, hold)
	// Those that other faults meet are not elected: their successors would have to wait for the lease.
	return errors.Join(w.startManager(ctx), standby.Stop(managerGrace))
}

// elected waits until somebody else than before has the lease of the shard, and returns who.
func (w *world) elected(ctx context.Context, before string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, electionTimeout, fmt.Errorf("nobody was elected within %s", electionTimeout))
	defer cancel()
	lease := &coordinationv1.Lease{}
	key := client.ObjectKey{Namespace: leaseNamespace, Name: operator.Config{Shard: w.part}.Lease()}
	for {
		err := w.client.Get(ctx, key, lease)
		if holder := ptr.Deref(lease.Spec.HolderIdentity, ""); err == nil && holder != "" && holder != before {
			return holder, nil
		}
		if ctx.Err() != nil {
			return "", fmt.Errorf("lease %s, held by %q before: %w", key, before, context.Cause(ctx))
		}
		pass(ctx, look)
	}
}

// ref names the remediation of what is made without one. Across shards that is another each time, since it decides on the shard.
func (s *stage) ref() v1alpha1.RemediationRef {
	r := remediationRef
	if s.drain == acrossShards {
		r.UID = types.UID("by-hand-" + uuid.NewString())
	}
	return r
}
