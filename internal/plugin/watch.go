package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

// watched is a result that a watch can compare.
type watched interface {
	result
	lines() []string
}

// watch is --watch.
type watch struct {
	on       bool
	interval time.Duration
}

func (w *watch) addFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&w.on, "watch", "w", false, "show changes until Ctrl-C: on a terminal drawn again, elsewhere a line a change")
	cmd.Flags().DurationVar(&w.interval, "interval", 2*time.Second, "time between two reads of --watch")
}

// minInterval keeps a watch from doing nothing but reading.
const minInterval = 100 * time.Millisecond

func (w *watch) check(out *output) error {
	switch {
	case !w.on:
		return nil
	case w.interval < minInterval:
		return fmt.Errorf("--interval is %s, expected %s or more", w.interval, minInterval)
	case out.format != formatTable && out.format != formatWide:
		return fmt.Errorf("--output is %q with --watch, expected %s or %s; for programs, run the command again", out.format, formatTable, formatWide)
	}
	return nil
}

// run reads and prints once, or until the context ends.
func (w *watch) run(ctx context.Context, c *cluster, out *output, read func(context.Context) (result, error)) error {
	if !w.on {
		r, err := read(ctx)
		if r == nil {
			return err
		}
		return errors.Join(out.print(c.streams.Out, r), err)
	}
	redraw := isTerminal(c.streams.Out)
	before := map[string]bool{}
	for {
		r, err := read(ctx)
		if r == nil {
			return err // one that was interrupted, too
		}
		if redraw {
			err = w.redraw(c, out, r)
		} else {
			before, err = w.changes(c, r.(watched), before)
		}
		if err != nil {
			return err
		}
		timer := time.NewTimer(w.interval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-timer.C:
		}
	}
}

// redraw writes a screen in one piece, so that it does not flicker.
func (w *watch) redraw(c *cluster, out *output, r result) error {
	text, err := out.render(c.streams.Out, r)
	if err != nil {
		return err
	}
	var screen bytes.Buffer
	screen.WriteString("\x1b[H\x1b[2J")
	fmt.Fprintf(&screen, "%s  (every %s, Ctrl-C ends)\n\n", time.Now().UTC().Format(time.RFC3339), w.interval)
	screen.Write(text)
	if _, err := c.streams.Out.Write(screen.Bytes()); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// changes writes the lines that were not there before.
func (w *watch) changes(c *cluster, r watched, before map[string]bool) (map[string]bool, error) {
	now := map[string]bool{}
	for _, l := range r.lines() {
		now[l] = true
		if before[l] {
			continue
		}
		if _, err := fmt.Fprintf(c.streams.Out, "%s %s\n", time.Now().UTC().Format(time.RFC3339), line(l)); err != nil {
			return nil, fmt.Errorf("write the output: %w", err)
		}
	}
	return now, nil
}
