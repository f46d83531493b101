package demo

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Colours, as SGR codes; empty strings when the output is no terminal.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// Long lines are cut at the width of the terminal, within these bounds; without one at the default.
const (
	minWidth     = 80
	defaultWidth = 140
	maxWidth     = 160
)

// before are the columns of a step in front of its detail.
const before = len("1234.5s  ") + 11 + 19

// narrator prints the play: headings, and one line a step with the time since the beginning. It may be used by several goroutines.
type narrator struct {
	mu     sync.Mutex
	out    io.Writer
	colour bool
	width  int
	begin  time.Time
}

// newNarrator writes to out; width is that of the terminal, 0 if there is none.
func newNarrator(out io.Writer, colour bool, width int) *narrator {
	if width == 0 {
		width = defaultWidth
	}
	return &narrator{out: out, colour: colour, width: min(max(width, minWidth), maxWidth), begin: time.Now()}
}

func (n *narrator) paint(code, text string) string {
	if !n.colour || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// heading begins a step of the demo; the text below says what to look for.
func (n *narrator) heading(title string, text ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "\n%s\n", n.paint(bold, "── "+title+" "+strings.Repeat("─", max(0, min(n.width, 120)-20-utf8.RuneCountInString(title)))))
	for _, line := range text {
		fmt.Fprintln(n.out, n.paint(dim, "   "+line))
	}
	if len(text) > 0 {
		fmt.Fprintln(n.out)
	}
}

// step is one line: who does what, and more about it. The colour is that of what.
func (n *narrator) step(who, what, colour, detail string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	line := fmt.Sprintf("%6.1fs  %s %s %s", time.Since(n.begin).Seconds(), n.paint(cyan, pad(who, 10)), n.paint(colour, pad(what, 18)), cut(detail, n.width-before))
	fmt.Fprintln(n.out, strings.TrimRight(line, " "))
}

// say is a step of the demo itself.
func (n *narrator) say(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprintf(n.out, "%6.1fs  %s\n", time.Since(n.begin).Seconds(), fmt.Sprintf(format, args...))
}

// print prints a text as it is.
func (n *narrator) print(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	fmt.Fprint(n.out, text)
}

// table prints columns under their titles. The widths are those of the longest cell; numbers, and columns whose title begins with a space, stand to the right.
func (n *narrator) table(rows [][]string) {
	n.print(renderTable(rows, func(title string) string { return n.paint(bold, title) }))
}

func renderTable(rows [][]string, title func(string) string) string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(strings.TrimSpace(cell)))
		}
	}
	var b strings.Builder
	for r, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			text := pad(strings.TrimSpace(cell), widths[i])
			if strings.HasPrefix(rows[0][i], " ") {
				text = strings.Repeat(" ", widths[i]-utf8.RuneCountInString(strings.TrimSpace(cell))) + strings.TrimSpace(cell)
			}
			line.WriteString("   " + text)
		}
		text := strings.TrimRight(line.String(), " ")
		if r == 0 {
			text = title(text)
		}
		b.WriteString(text + "\n")
	}
	return b.String()
}

func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(text)))
}

// cut makes one line of a text and shortens it between words.
func cut(text string, width int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	short := string([]rune(text)[:width-1])
	if i := strings.LastIndexByte(short, ' '); i > width/2 {
		short = short[:i]
	}
	return strings.TrimRight(short, " ,;:.") + "…"
}

// lines is a Writer that hands each line over to say, for what package dev reports.
func (n *narrator) lines() io.Writer { return &lineWriter{say: func(s string) { n.say("%s", s) }} }

type lineWriter struct {
	mu  sync.Mutex
	say func(string)
	buf []byte
}

func (w *lineWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, p...)
	for {
		i := bytes.IndexByte(w.buf, '\n')
		if i < 0 {
			return len(p), nil
		}
		if line := strings.TrimSpace(string(w.buf[:i])); line != "" {
			w.say(line)
		}
		w.buf = w.buf[i+1:]
	}
}
