package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
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

// redraw writes a screen in one piece, so that it does not flicker. What does not fit the terminal is cut: a line that wraps, or that scrolls the first one away, would spoil the picture.
func (w *watch) redraw(c *cluster, out *output, r result) error {
	width, height := terminalSize(c.streams.Out)
	out.columns = width
	text, err := out.render(c.streams.Out, r)
	if err != nil {
		return err
	}
	head := fmt.Sprintf("%s  (every %s, Ctrl-C ends)\n\n", time.Now().UTC().Format(time.RFC3339), w.interval)
	screen := "\x1b[H\x1b[2J" + fitted(head+string(text), width, height)
	if _, err := io.WriteString(c.streams.Out, screen); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

// terminalSize is 0, 0 where it is not known.
func terminalSize(of any) (width, height int) {
	file, ok := of.(*os.File)
	if !ok {
		return 0, 0
	}
	width, height, err := term.GetSize(int(file.Fd()))
	if err != nil || width < 2 || height < 3 {
		return 0, 0
	}
	return width, height
}

// fitted cuts a text to the width and the height of a terminal, and says so.
func fitted(text string, width, height int) string {
	if width == 0 {
		return text
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - (height - 1); more > 0 {
		lines = append(lines[:height-2], fmt.Sprintf("… %s below", counted(more+1, "line")))
	}
	for i := range lines {
		lines[i] = cut(lines[i], width)
	}
	return strings.Join(lines, "\n") + "\n"
}

// cut shortens a line to a number of columns. Colours take none, and end with the line.
func cut(line string, width int) string {
	var short strings.Builder
	inColour := false
	column := 0
	for _, r := range line {
		switch {
		case r == '\x1b':
			inColour = true
		case inColour:
			inColour = r != 'm'
		case column == width-1 && utf8.RuneCountInString(colours.ReplaceAllString(line, "")) > width:
			short.WriteString("…")
			if strings.Contains(line, "\x1b") {
				short.WriteString("\x1b[0m")
			}
			return short.String()
		default:
			column++
		}
		short.WriteRune(r)
	}
	return short.String()
}

// colours are what a page paints with.
var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

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
