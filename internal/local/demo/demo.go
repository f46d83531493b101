//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/local/dev"
	"github.com/holdfast-dev/holdfast/test/oracle"
)

// ErrNotClean says that the play went to its end, but that the audit trail is not what it must be.
var ErrNotClean = errors.New("the audit trail is not complete")

// Options of a demo.
type Options struct {
	// Program is the holdfast binary that the services are started from.
	Program string
	// StateDir gets logs and data and stays; "" makes a temporary folder, of which only the logs are kept, and only when something failed.
	StateDir string
	// Out gets the play. Colour: it is a terminal that shows colours. Width of the terminal in columns; 0: it is none.
	Out    io.Writer
	Colour bool
	Width  int
}

// Summary is what a demo found, for programs.
type Summary struct {
	Seconds      float64       `json:"seconds"`
	Remediations []Remediation `json:"remediations"`
	Posted       []Posted      `json:"posted"`
	Verdict      Verdict       `json:"verdict"`
}

// Remediation is how one request ended.
type Remediation struct {
	Request string `json:"request"`
	Target  string `json:"target"`
	Phase   string `json:"phase"`
	Outcome string `json:"outcome"`
}

// demo is one performance.
type demo struct {
	*narrator
	program string
	stack   *dev.Stack
	feed    *feed
	oracle  *oracle.Oracle
	ledger  ledger
	admin   client.Client
	sender  *sender
	// names are those of the workloads' requests, which the gateway chooses.
	names   map[string]string
	summary Summary
	// reportDir gets the report as a page.
	reportDir string
}

// Run performs the demo. The Summary is there when the play came to its verdict, also when the error is ErrNotClean; else it is nil.
func Run(ctx context.Context, o Options) (*Summary, error) {
	n := newNarrator(o.Out, o.Colour, o.Width)
	dir, err := openStateDir(o.StateDir)
	if err != nil {
		return nil, err
	}
	d := &demo{narrator: n, names: map[string]string{}, program: o.Program, reportDir: reportDirOf(o.StateDir)}
	err = d.perform(ctx, dev.Options{Dir: dir.path, Program: o.Program, Progress: n.lines()})
	if stopped := d.strike(); stopped != nil {
		err = errors.Join(err, fmt.Errorf("stop the servers: %w", stopped))
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("the demo was interrupted: %w", ctx.Err())
	}
	if err := dir.leave(err); err != nil {
		return d.result(), err
	}
	n.print("\n   To try it yourself: make dev (holdfast dev --state-dir .dev); see \"Try it yourself\" in README.md.\n")
	return d.result(), nil
}

// result is the summary, or nil when the play did not come to a verdict.
func (d *demo) result() *Summary {
	if d.summary.Verdict.Kinds == nil {
		return nil
	}
	d.summary.Seconds = time.Since(d.begin).Round(100 * time.Millisecond).Seconds()
	return &d.summary
}

// perform starts the servers and runs the steps.
func (d *demo) perform(ctx context.Context, o dev.Options) (err error) {
	d.heading("1  Setup: a Kubernetes cluster with a simulated node, PostgreSQL, and Holdfast",
		"Everything runs on this machine, on loopback, and is removed when the demo ends.")
	d.say("starting the servers; on the first run they are downloaded or compiled, which takes minutes")
	if d.stack, err = dev.Start(ctx, o); err != nil {
		return err
	}
	cfg := d.stack.Cluster.RESTConfig()
	d.ledger = ledger{d.stack.Postgres.URL()}
	if d.oracle, err = oracle.Start(ctx, cfg); err != nil {
		return err
	}
	if d.feed, err = startFeed(ctx, cfg, newTeller(d.narrator).observe); err != nil {
		return err
	}
	d.say("witness: records every audit entry that the API server commits, and compares them with the tables at the end")
	if d.admin, err = newClient(cfg, ""); err != nil {
		return err
	}
	if d.sender, err = d.newSender(ctx); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		d.failingWorkloads, d.alertsArrive, d.databaseStops, d.managerIsKilled, d.endings, d.deletionIsHeld, d.trail, d.outside, d.selfCheck, d.verdict, d.report,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// strike ends everything.
func (d *demo) strike() error {
	if d.feed != nil {
		d.feed.close()
	}
	if d.oracle != nil {
		d.oracle.Stop()
	}
	if d.stack == nil {
		return nil
	}
	begin := time.Now()
	err := errors.Join(d.sender.stop(), d.stack.Stop())
	if err == nil {
		d.print("\n")
		d.say("all servers are stopped (%.1f s)", time.Since(begin).Seconds())
	}
	return err
}
