package rar

import (
	_ "embed"
	"fmt"
	"html"
	"io"
	"strings"
)

//go:embed chart.css
var chartCSS string

// layout is where a chart has its parts, in pixels. A narrow one has the labels above the bars.
type layout struct {
	id                 string
	width, left, right float64 // the axis runs from left to right
	margin             float64 // of the labels and notes
	top, row, bar      float64
	narrow             bool
	ticks              int
}

// wide and narrow are within a page, which shows the one that fits; file is a chart of its own.
var (
	wide   = layout{id: "wide", width: 800, left: 164, right: 676, top: 34, row: 26, bar: 14, ticks: 7}
	file   = layout{width: 960, left: 190, right: 820, margin: 16, top: 34, row: 26, bar: 14, ticks: 8}
	narrow = layout{id: "narrow", width: 340, left: 0, right: 340, top: 34, row: 42, bar: 14, narrow: true, ticks: 3}
)

// drawing writes an SVG. Every text goes through text, which cleans and escapes it.
type drawing struct{ strings.Builder }

func (d *drawing) add(format string, arguments ...any) { fmt.Fprintf(d, format+"\n", arguments...) }

// text writes a text of at most as many pixels.
func (d *drawing) text(x, y float64, class, anchor, text string, width float64) {
	d.add(`<text x="%s" y="%s" class="%s" text-anchor="%s">%s</text>`, number(x), number(y), class, anchor, html.EscapeString(fit(text, width)))
}

// fit cuts a text to a width. Characters are taken as 7 pixels wide, those of wide scripts and emoji as 14: fonts differ, so it leaves room.
func fit(text string, width float64) string {
	text = line(text, maxInline)
	used := 0.0
	for i, r := range text {
		w := 7.0
		if r >= 0x1100 {
			w = 14
		}
		if used += w; used > width {
			return strings.TrimRight(text[:i], " ") + "…"
		}
	}
	return text
}

func (r *Report) writeSVG(w io.Writer) error {
	c, l := r.gantt(), file
	head := 78.0
	warning := stateTitle(&r.Complete)
	if warning != "" {
		head += 34
	}
	d := &drawing{}
	height := head + l.height(c) + 16
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" width="%s" height="%s" viewBox="0 0 %s %s" role="img" aria-labelledby="title" aria-describedby="desc" class="chart">`, number(l.width), number(height), number(l.width), number(height))
	d.add(`<title id="title">%s</title>`, html.EscapeString(line(r.Summary.OneLine, maxInline)))
	d.add(`<desc id="desc">%s</desc>`, html.EscapeString(line(strings.TrimSpace(warning+" "+c.describe()), maxProse)))
	d.add("<style>%s</style>", chartCSS)
	d.add(`<rect class="paper" width="%s" height="%s"/>`, number(l.width), number(height))
	d.text(16, 32, "heading", "start", fmt.Sprintf("%s: %s on %s", outcomeTitle(r.Summary.Outcome), r.Summary.Alert, r.Summary.Target), 720)
	d.text(16, 56, "label", "start", r.headline(), 900)
	if warning != "" {
		d.add(`<rect class="warning" x="16" y="70" width="928" height="28" rx="4"/>`)
		d.text(28, 89, "warningtext", "start", "⚠ "+warning, 900)
	}
	d.add(`<g transform="translate(0 %s)">`, number(head))
	d.chart(c, &l)
	d.add("</g>\n</svg>")
	_, err := io.WriteString(w, d.String())
	return err
}

// inline is the chart within a page, whose style it shares.
func (c *gantt) inline(l *layout) string {
	d := &drawing{}
	height := l.height(c)
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-title" aria-describedby="%s-desc" class="chart %s">`, number(l.width), number(height), l.id, l.id, l.id)
	d.add(`<title id="%s-title">Where the time went</title>`, l.id)
	d.add(`<desc id="%s-desc">%s</desc>`, l.id, html.EscapeString(line(c.describe(), maxProse)))
	d.chart(c, l)
	d.add("</svg>")
	return d.String()
}

func (l *layout) height(c *gantt) float64 { return l.top + l.row*float64(len(c.rows)) + 8 }

// x is the place of an offset on the axis.
func (l *layout) x(c *gantt, offset int64) float64 {
	share := float64(offset) / float64(c.length)
	return rounded(l.left+(l.right-l.left)*min(max(share, 0), 1), 2)
}

func (d *drawing) chart(c *gantt, l *layout) {
	if len(c.rows) == 0 {
		d.text(16, 24, "label", "start", "No row tells when it began.", 300)
		return
	}
	d.axis(c, l)
	for i, row := range c.rows {
		y := l.top + l.row*float64(i)
		d.row(c, l, &row, y)
	}
}

// axis has a line and a label for each tick. A label that would leave the drawing is left out.
func (d *drawing) axis(c *gantt, l *layout) {
	bottom := l.top + l.row*float64(len(c.rows))
	for i, offset := range c.ticks(l.ticks) {
		x := l.x(c, offset)
		d.add(`<line class="grid" x1="%s" y1="%s" x2="%s" y2="%s"/>`, number(x), number(l.top-8), number(x), number(bottom))
		switch label := "+" + duration(float64(offset)/1e6); {
		case i == 0:
			d.text(x, l.top-16, "tick", "start", clock(c.start), 80)
		case x-l.left > 90 && x+30 <= max(l.right, l.width-30):
			d.text(x, l.top-16, "tick", "middle", label, 80)
		}
	}
}

func (d *drawing) row(c *gantt, l *layout, row *ganttRow, y float64) {
	class, indent := "label", 0.0
	if row.detail {
		class, indent = "detail", 14
	}
	barY := y + (l.row-l.bar)/2
	if l.narrow {
		barY = y + l.row - l.bar - 6
		d.text(indent, y+16, class, "start", row.label, 200-indent)
		d.text(l.width, y+16, "note", "end", row.note, 130)
	} else {
		d.text(l.margin+indent, y+l.row/2+5, class, "start", row.label, l.left-l.margin-14-indent)
		d.text(l.width-l.margin, y+l.row/2+5, "note", "end", row.note, l.width-l.right-l.margin-4)
	}
	d.add(`<line class="lane" x1="%s" y1="%s" x2="%s" y2="%s"/>`, number(l.left), number(barY+l.bar/2), number(l.right), number(barY+l.bar/2))
	for _, b := range row.bars {
		x := l.x(c, b.from)
		width := max(2, rounded(l.x(c, b.to)-x, 2))
		x = min(x, l.right-2)
		state := ""
		if b.open {
			state = " open"
		}
		d.add(`<rect class="bar %s%s" x="%s" y="%s" width="%s" height="%s" rx="2"><title>%s</title></rect>`, b.class, state, number(x), number(barY), number(width), number(l.bar), html.EscapeString(line(b.title, maxInline)))
	}
}
