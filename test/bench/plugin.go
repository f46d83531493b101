package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
	"github.com/holdfast-dev/holdfast/relay"
)

const (
	pluginResources = 20_000
	pluginEntries   = 1000
)

// pluginVerbs looks at `kubectl holdfast`, each verb beside the `kubectl get` of the same resources. What they print goes to a file, as with a redirection.
func pluginVerbs(ctx context.Context, b *bench) error {
	binaries, err := localcluster.Binaries(ctx, os.Stderr, "kubectl")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "holdfast-bench-plugin-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	namespace, n := b.env.Namespace(ctx, "plugin"), b.size(pluginResources)
	if err := b.awaitApproval(ctx, namespace, 0, n); err != nil {
		return err
	}
	database, err := b.newDatabase(ctx)
	if err != nil {
		return err
	}
	// An entry is compared with a resource: as many of them, read whole.
	entries, many := b.size(pluginEntries), b.env.Namespace(ctx, "plugin-many")
	if err := b.awaitApproval(ctx, many, 0, entries); err != nil {
		return err
	}
	if err := b.longHistory(ctx, database, namespace, entries); err != nil {
		return err
	}
	in := []string{"--kubeconfig", b.env.Cluster.Kubeconfig()}
	p := programs{plugin: filepath.Join(filepath.Dir(b.program), "kubectl-holdfast"), kubectl: binaries["kubectl"], home: dir}
	all := fmt.Sprintf("%d resources", n)
	for _, verb := range []struct {
		what, plain             string
		pluginArgs, kubectlArgs []string
		target                  string
	}{
		{"list of " + all, "kubectl get of them", []string{"list", "aianalyses", "-n", namespace}, []string{"get", "aianalyses", "-n", namespace}, "<= 1.3"},
		{"status of " + all, "kubectl get of them", []string{"status", "-n", namespace}, []string{"get", "remediationrequests,aianalyses,workflowexecutions,notificationrequests", "-n", namespace}, "<= 1.3"},
		{fmt.Sprintf("history of %d entries", entries), fmt.Sprintf("kubectl get -o yaml of %d resources", entries),
			[]string{"history", "notificationrequest/long", "--database-url", database, "-n", namespace}, []string{"get", "aianalyses", "-n", many, "-o", "yaml"}, "<= 1.3"},
		{fmt.Sprintf("history of %d entries", entries), "kubectl get -o yaml of the one resource",
			[]string{"history", "notificationrequest/long", "--database-url", database, "-n", namespace}, []string{"get", "notificationrequest/long", "-n", namespace, "-o", "yaml"}, "<= 1.3"},
	} {
		var took, plainTook, memory, plainMemory sample
		for range b.rounds(7) + 1 {
			for _, run := range []struct {
				program       string
				args          []string
				times, memory *sample
			}{{p.plugin, verb.pluginArgs, &took, &memory}, {p.kubectl, verb.kubectlArgs, &plainTook, &plainMemory}} {
				seconds, mib, err := p.run(ctx, run.program, append(run.args, in...))
				if err != nil {
					return err
				}
				*run.times, *run.memory = append(*run.times, seconds), append(*run.memory, mib)
			}
		}
		// The first round filled the caches of discovery.
		took, plainTook, memory, plainMemory = took[1:], plainTook[1:], memory[1:], plainMemory[1:]
		b.report.add(pluginMeasure, verb.what, "s", "", took...)
		b.report.add(pluginMeasure, verb.what+": "+verb.plain, "s", "", plainTook...)
		b.report.add(pluginMeasure, verb.what+" ÷ "+verb.plain, "", verb.target, took.over(plainTook)...)
		b.report.add(pluginMeasure, verb.what+": memory at its highest", "MiB", "<= 200", memory...)
		b.report.add(pluginMeasure, verb.what+": "+verb.plain+": memory at its highest", "MiB", "", plainMemory...)
	}
	return nil
}

const pluginMeasure = "plugin"

// programs are the two that are compared.
type programs struct{ plugin, kubectl, home string }

// run returns the seconds that a program took, and the most memory that it had, in MiB, as it was looked at every few milliseconds. What the kernel says of a process that has ended (ru_maxrss)
// includes what this process had when it started the other.
func (p *programs) run(ctx context.Context, program string, args []string) (seconds, mib float64, err error) {
	out, err := os.Create(filepath.Join(p.home, "out"))
	if err != nil {
		return 0, 0, err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{"HOME=" + p.home, "PATH=/usr/bin:/bin"}, out, os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, fmt.Errorf("start %s (`make build` makes kubectl-holdfast): %w", program, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case err := <-ended:
			seconds = time.Since(begin).Seconds()
			if err != nil {
				return 0, 0, fmt.Errorf("%s %q: %w", filepath.Base(program), args, err)
			}
			return seconds, mib, nil
		case <-ticker.C:
			mib = max(mib, memoryOf(cmd.Process.Pid, "VmHWM"))
		}
	}
}

// longHistory makes a resource that has had many entries, all of them rows.
func (b *bench) longHistory(ctx context.Context, database, namespace string, n int) error {
	store, err := postgres.Open(ctx, database, postgres.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	nr := testenv.MakeNotification(namespace, "long").Obj()
	if err := b.env.Client.Create(ctx, nr); err != nil {
		return err
	}
	source := entry.SourceOf(nr)
	record := models.Notification{RemediationID: "by-hand", NotificationRequestedAt: outboxapi.NewTime(time.Now()), Channels: []string{"console"}, Subject: nr.Spec.Subject}
	var o *outboxapi.Outbox
	for range n {
		if o, _, err = entry.Append(o, source, entry.Change{Kind: entry.KindNotification, Event: "DeliveryFailed", Phase: "Retrying", Record: record}, time.Now(), entry.Salt{}, entry.DefaultLimits()); err != nil {
			return err
		}
		if _, err := store.Persist(ctx, relay.NewItems(source, "NotificationRequest", entry.PendingOf(nr.UID, o))); err != nil {
			return err
		}
		o.SetEntries([]outboxapi.Entry{})
		o.PersistedSequence, o.PersistedTime = o.LastSequence, outboxapi.NewTimePointer(time.Now())
	}
	nr.Status.Outbox, nr.Status.Phase = o, "Retrying"
	return b.env.Client.Status().Update(ctx, nr)
}
