package reportsclient

import (
	"strings"
	"unicode/utf8"
)

// Terminal is a report in Markdown as it is read at a terminal: headings and what is emphasised in bold, tables with columns of equal width, no marks. bold paints a text; it may return it as it is.
func Terminal(markdown string, bold func(string) string) string {
	var out strings.Builder
	var table [][]string
	flush := func() {
		writeTable(&out, table)
		table = nil
	}
	fenced := false
	for line := range strings.Lines(Printable(markdown)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			continue
		}
		if cells, ok := cellsOf(line); ok && !fenced {
			table = append(table, cells)
			continue
		}
		flush()
		switch title := strings.TrimLeft(line, "#"); {
		case fenced:
			out.WriteString("  " + line + "\n")
		case title != line && strings.HasPrefix(title, " "):
			out.WriteString(bold(unmarked(strings.TrimSpace(title), nil)) + "\n")
		default:
			out.WriteString(unmarked(line, bold) + "\n")
		}
	}
	flush()
	return out.String()
}

// cellsOf splits a row of a table; false if the line is none. The row of dashes has no cells.
func cellsOf(line string) (cells []string, ok bool) {
	line = strings.TrimSpace(line)
	if len(line) < 2 || line[0] != '|' || line[len(line)-1] != '|' {
		return nil, false
	}
	line = line[1 : len(line)-1]
	if strings.Trim(line, "-:| ") == "" && strings.Contains(line, "-") {
		return nil, true
	}
	start := 0
	for i := range len(line) {
		if line[i] == '|' && (i == 0 || line[i-1] != '\\') {
			cells = append(cells, unmarked(strings.TrimSpace(line[start:i]), nil))
			start = i + 1
		}
	}
	return append(cells, unmarked(strings.TrimSpace(line[start:]), nil)), true
}

func writeTable(out *strings.Builder, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		if row == nil {
			continue
		}
		line := ""
		for i, cell := range row {
			line += "  " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// unmarked takes escapes and marks of emphasis off a line; what is between two ** is painted.
func unmarked(line string, bold func(string) string) string {
	if bold == nil {
		bold = func(text string) string { return text }
	}
	var out, inside strings.Builder
	strong, to := false, &out
	for i := 0; i < len(line); i++ {
		switch {
		case line[i] == '\\' && i+1 < len(line) && strings.IndexByte("\\`*_{}[]<>#|~&!$@:.-+=()", line[i+1]) >= 0:
			i++
			to.WriteByte(line[i])
		case strings.HasPrefix(line[i:], "**"):
			i++
			if strong = !strong; strong {
				to = &inside
				continue
			}
			out.WriteString(bold(inside.String()))
			inside.Reset()
			to = &out
		case line[i] == '`':
		default:
			to.WriteByte(line[i])
		}
	}
	return out.String() + inside.String()
}
