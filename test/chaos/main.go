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
)

func main() { os.Exit(command()) }

func command() (exitCode int) {
	o := options{}
	flag.Uint64Var(&o.seed, "seed", 0, "what everything is drawn from; 0: the time")
	flag.IntVar(&o.runs, "runs", 200, "how many schedules")
	flag.IntVar(&o.first, "first", 1, "number of the first schedule")
	flag.StringVar(&o.out, "out", "chaos.json", "file that gets everything that was found")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	s, err := run(ctx, o, os.Stdout)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return 2
	case !s.clean():
		return 1
	}
	return 0
}

type options struct {
	seed        uint64
	runs, first int
	out         string
}

// run plays the schedules in a world of their own. Its error means that the world could not be built or asked; what was found is in the summary.
func run(ctx context.Context, o options, to io.Writer) (_ *summary, err error) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "holdfast-chaos-")
	if err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s := &summary{Seed: o.seed, Faults: map[string]int{}}
	fmt.Fprintf(to, "seed %d, schedules %d to %d\n", o.seed, o.first, o.first+o.runs-1)
	w, err := start(ctx, dir, to)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer func() {
		err = errors.Join(err, w.stop())
		if err == nil && s.clean() {
			err = os.RemoveAll(dir)
		} else {
			fmt.Fprintln(to, "the managers' log is", w.managerLog())
		}
	}()
	for number := o.first; number < o.first+o.runs && ctx.Err() == nil; number++ {
		plan := draw(o.seed, number)
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
	s.Total, s.Differences = report.Total, report.Differences
	if err := errors.Join(s.print(to), s.write(o.out)); err != nil {
		return nil, err
	}
	return s, context.Cause(ctx)
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
