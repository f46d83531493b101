package rar

import (
	"html"
	"math"
	"strings"
)

// plot is a drawing with two axes. Places on them are values: see axes.
type plot struct {
	drawing
	width, height            float64
	left, right, top, bottom float64
	x0, x1, y1               float64
}

// newPlot makes a plot for a page, as wide as a phone if it is narrow.
func newPlot(narrow bool, height float64) *plot {
	p := &plot{width: 720, height: height, left: 64, right: 640, top: 24, bottom: height - 34}
	if narrow {
		p.width, p.left, p.right = 340, 54, 332
	}
	return p
}

// axes sets what lies on the axes: from x0 to x1, and from zero to y1, so that no difference looks larger than it is.
func (p *plot) axes(x0, x1, y1 float64) { p.x0, p.x1, p.y1 = x0, x1, y1 }

func (p *plot) x(v float64) float64 { return place(v, p.x0, p.x1, p.left, p.right) }
func (p *plot) y(v float64) float64 { return place(v, 0, p.y1, p.bottom, p.top) }

func place(v, least, most, from, to float64) float64 {
	share := 0.0
	if most > least {
		share = min(max((v-least)/(most-least), 0), 1)
	}
	return rounded(from+(to-from)*share, 2)
}

// grid draws the lines of the vertical axis, with their labels.
func (p *plot) grid(step float64, label func(float64) string) {
	for v := 0.0; v <= p.y1+step/1e6; v += step {
		y := p.y(v)
		p.line("grid", p.left, y, p.right, y)
		p.text(p.left-8, y+4, "tick", "end", label(v), p.left)
	}
}

func (p *plot) line(class string, x1, y1, x2, y2 float64) {
	p.add(`<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`, class, number(x1), number(y1), number(x2), number(y2))
}

// under writes the label of a place on the horizontal axis, within the plot.
func (p *plot) under(x float64, label string) {
	p.text(min(x, p.width-20), p.bottom+20, "tick", "middle", label, 60)
}

// path draws a line through points.
func (p *plot) path(class string, points [][2]float64) {
	var d strings.Builder
	for i, at := range points {
		d.WriteString(map[bool]string{true: "M", false: "L"}[i == 0] + number(at[0]) + " " + number(at[1]))
	}
	p.add(`<path class="%s" d="%s"/>`, class, d.String())
}

func (p *plot) dot(class string, x, y, radius float64, title string) {
	p.add(`<circle class="%s" cx="%s" cy="%s" r="%s"><title>%s</title></circle>`, class, number(x), number(y), number(rounded(radius, 1)), html.EscapeString(line(title, maxInline)))
}

func (p *plot) rect(class string, x, y, width, height float64, title string) {
	p.add(`<rect class="bar %s" x="%s" y="%s" width="%s" height="%s" rx="2"><title>%s</title></rect>`, class, number(x), number(y), number(rounded(width, 2)), number(rounded(height, 2)), html.EscapeString(line(title, maxInline)))
}

// inline is the plot within a page.
func (p *plot) inline(id, class, title, description string) string {
	d := &drawing{}
	d.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-title" aria-describedby="%s-desc" class="chart plot %s">`, number(p.width), number(p.height), id, id, class)
	d.add(`<title id="%s-title">%s</title>`, id, html.EscapeString(line(title, maxInline)))
	d.add(`<desc id="%s-desc">%s</desc>`, id, html.EscapeString(line(description, maxProse)))
	d.WriteString(p.String())
	d.add("</svg>")
	return d.String()
}

// stepFor is the distance between ticks of a value up to most, of which there are at most five.
func stepFor(most float64, steps []float64) float64 {
	for _, s := range steps {
		if most/s <= 5 {
			return s
		}
	}
	step := steps[len(steps)-1]
	for most/step > 5 {
		step *= 10
	}
	return step
}

// upTo is the first tick that is not below a value.
func upTo(v, step float64) float64 { return max(step, math.Ceil(v/step-1e-9)*step) }

// bar is one row of a chart of shares: a bar, or a dot with its interval. All rows have one axis, from nothing to all.
type bar struct {
	label, note, class string
	share              float64
	cumulative         *float64
	interval           *[2]float64
	faint              bool // too few to judge
}

// sharesPlot draws the rows below each other. Cumulative shares are a line over them.
func sharesPlot(narrow bool, bars []bar) *plot {
	row := 30.0
	if narrow {
		row = 44
	}
	p := newPlot(narrow, 30+row*float64(len(bars))+12)
	p.left, p.right = 190, 560
	if narrow {
		p.left, p.right = 4, 336
	}
	p.axes(0, 1, 1)
	bottom := 26 + row*float64(len(bars))
	for _, tick := range []float64{0, .25, .5, .75, 1} {
		p.line("grid", p.x(tick), 24, p.x(tick), bottom)
		anchor := map[float64]string{0: "start", 1: "end"}[tick]
		if anchor == "" {
			anchor = "middle"
		}
		p.text(p.x(tick), 16, "tick", anchor, percent(tick), 60)
	}
	middle := func(i int) float64 {
		if narrow {
			return 26 + row*float64(i+1) - 14
		}
		return 26 + row*(float64(i)+.5)
	}
	var line [][2]float64
	for i, b := range bars {
		if b.cumulative != nil {
			line = append(line, [2]float64{p.x(*b.cumulative), middle(i)})
		}
	}
	if len(line) > 1 {
		p.path("sum", line) // below the texts that it crosses
	}
	for i, b := range bars {
		if narrow {
			p.text(4, middle(i)-14, "label", "start", b.label, 200)
			p.text(336, middle(i)-14, "note", "end", b.note, 140)
		} else {
			p.text(0, middle(i)+5, "label", "start", b.label, 182)
			p.text(p.width, middle(i)+5, "note", "end", b.note, p.width-p.right-12)
		}
		p.bar(&b, middle(i))
	}
	for i, at := range line {
		p.dot("sumdot", at[0], at[1], 3.5, percent(*bars[i].cumulative)+" with those before")
	}
	return p
}

func (p *plot) bar(b *bar, middle float64) {
	if b.interval == nil {
		p.rect(b.class, p.x(0), middle-7, max(1, p.x(b.share)-p.x(0)), 14, b.label+": "+b.note)
		return
	}
	class := "dot"
	if b.faint {
		class = "dot few"
	}
	p.line("whisker", p.x(b.interval[0]), middle, p.x(b.interval[1]), middle)
	p.dot(class, p.x(b.share), middle, 5, b.label+": "+b.note)
}
