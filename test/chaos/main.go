//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/holdfast-dev/holdfast/test/chaos/gateway"
)

func main() { os.Exit(command()) }

func command() (exitCode int) {
	o := options{}
	over := flag.String("store", "both", "store that managers drain to: database, api, shards, failover, both (database and api) or all; or gateway, for the gateway of Alertmanager instead")
	flag.Uint64Var(&o.seed, "seed", 0, "what everything is drawn from; 0: the time")
	flag.IntVar(&o.runs, "runs", 200, "number of schedules")
	flag.IntVar(&o.first, "first", 1, "number of the first schedule")
	flag.StringVar(&o.only, "fault", "", "part of the names of the faults to draw (default: all)")
	flag.StringVar(&o.out, "out", "chaos.json", "file for the findings")
	flag.Parse()
	if *over == "gateway" {
		return aroundTheGateway(o)
	}
	var err error
	if o.drains, err = drains(*over); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	}
	for _, d := range o.drains {
		if len(faultsNamed(d.watching(), o.only)) == 0 {
			fmt.Fprintf(os.Stderr, "chaos: -fault is %q, which no fault of -store %s has in its name that leaves a manager watching\n", o.only, d)
			return 2
		}
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	all, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	case !all.clean():
		return 1
	}
	return 0
}

// aroundTheGateway plays the schedules of package gateway instead.
func aroundTheGateway(o options) int {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	s, err := gateway.Run(ctx, o.seed, o.first, o.runs, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	case len(s.Findings) > 0:
		return 1
	}
	return 0
}

// drains reads the flag.
func drains(over string) ([]drain, error) {
	switch over {
	case "both":
		return []drain{overDatabase, overAPI}, nil
	case "all":
		return []drain{overDatabase, overAPI, acrossShards, acrossFailovers}, nil
	case string(overDatabase), string(overAPI), string(acrossShards), string(acrossFailovers):
		return []drain{drain(over)}, nil
	}
	return nil, fmt.Errorf("-store is %q, expected database, api, shards, failover, both, all or gateway", over)
}

type options struct {
	drains      []drain
	seed        uint64
	runs, first int
	// only limits the faults, see draw.
	only, out string
}

// schedules is how many there are for managers that drain there.
func (o options) schedules(d drain) int {
	if d != o.drains[0] {
		return (o.runs + 3) / 4
	}
	return o.runs
}

// run plays the schedules in one world after the other, and says and writes what was found. Its error means that a world could not be built or asked.
func run(ctx context.Context, o options, to io.Writer) (summaries, error) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	var all summaries
	for _, d := range o.drains {
		s, err := o.play(ctx, d, to)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		if ctx.Err() != nil {
			break
		}
	}
	if err := errors.Join(all.print(to), all.write(o.out)); err != nil {
		return nil, err
	}
	return all, context.Cause(ctx)
}

// play plays the schedules of managers that drain there, in a world of their own.
func (o options) play(ctx context.Context, d drain, to io.Writer) (_ *summary, err error) {
	dir, err := os.MkdirTemp("", "holdfast-chaos-")
	if err != nil {
		return nil, fmt.Errorf("create a directory: %w", err)
	}
	s := &summary{Store: d, Seed: o.seed, Faults: map[string]int{}}
	last := o.first + o.schedules(d) - 1
	fmt.Fprintf(to, "seed %d, store %s, schedules %d to %d\n", o.seed, d, o.first, last)
	w, err := start(ctx, d, dir, to)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, w.stop())
		if err == nil && s.clean() {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(to, "the logs are in", dir)
		}
	}()
	for number := o.first; number <= last && ctx.Err() == nil; number++ {
		plan := draw(d, o.seed, number, o.only)
		p := w.play(ctx, &plan)
		s.add(p)
		if err := tell(to, &plan, p); err != nil {
			return nil, err
		}
	}
	report, err := w.judge(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	report, _ = w.forgive(report)
	s.Total, s.Differences = report.Total, report.Differences
	return s, nil
}

// tell is one line a schedule, and what went wrong in it.
func tell(to io.Writer, plan *schedule, p played) error {
	fmt.Fprintf(to, "%4d  %3d entries, recovered in %4.1f s: %s\n", p.Number, p.Entries, p.Recovery, plan)
	if p.Error != "" {
		fmt.Fprintln(to, "      FAILED:", p.Error)
	}
	if p.Report.Clean() {
		return nil
	}
	return p.Report.Write(to)
}
