package plugin

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Space between two columns.
const wideGap, smallGap = 3, 2

// Columns of text are shortened to these widths, before a column is left out.
const narrowName, narrowText = 16, 10

// leftOut are the columns that a narrow table can do without, in the order in which they go.
var leftOut = []string{"UID", "CLOSED", "BYTES", "LAST-SEQ", "PERSISTED", "REQUEST", "PARAMETERS", "AGE", "OLDEST", "CONFIDENCE", "WAITING", "WORKFLOW", "ALERT", "HELD-FOR", "DURABLE", "HOLDER", "NAMESPACES"}

// shortKinds are what kubectl takes for Holdfast's own kinds.
var shortKinds = map[string]string{"remediationrequest": "rr", "aianalysis": "aia", "workflowexecution": "wfe", "notificationrequest": "nr", requests: "rr", analyses: "aia", workflows: "wfe", notifications: "nr"}

// narrowed makes a table fit a number of columns: kinds get their short names, then texts are cut, then columns are left out. Numbers and headers stay whole.
func narrowed(rows [][]string, columns int) [][]string {
	rows = slices.Clone(rows)
	for n := range rows {
		rows[n] = slices.Clone(rows[n])
	}
	for i, title := range rows[0] {
		for _, row := range rows[1:] {
			if i < len(row) && (title == "NAME" || title == "KIND") {
				row[i] = shortRef(title, row[i])
			}
		}
	}
	least := leastWidths(rows)
	for _, title := range leftOut {
		if total(least, smallGap) <= columns {
			break
		}
		if i := slices.Index(rows[0], title); i > 0 {
			for n := range rows {
				if i < len(rows[n]) {
					rows[n] = slices.Delete(rows[n], i, i+1)
				}
			}
			least = slices.Delete(least, i, i+1)
		}
	}
	widths := widthsOf(rows)
	for total(widths, smallGap) > columns {
		most := 0 // the last of the columns that are furthest above their least width
		for i := range widths {
			if widths[i]-least[i] >= widths[most]-least[most] {
				most = i
			}
		}
		if widths[most] == least[most] {
			break // the terminal cuts the line
		}
		widths[most]--
	}
	for _, row := range rows {
		for i := range row {
			row[i] = shortened(row[i], widths[i])
		}
	}
	return rows
}

// leastWidths are how far columns can be shortened.
func leastWidths(rows [][]string) []int {
	least := widthsOf(rows)
	for i, title := range rows[0] {
		bound := narrowText
		if title == "NAME" {
			bound = narrowName
		}
		least[i] = min(least[i], max(bound, utf8.RuneCountInString(title)))
	}
	return least
}

// shortRef leaves the group out of a kind, in KIND and KIND/NAME.
func shortRef(title, text string) string {
	kindName, name, named := strings.Cut(text, "/")
	if title == "NAME" && !named {
		return text // a name may have dots
	}
	kindName, _, _ = strings.Cut(kindName, ".")
	if short, ok := shortKinds[kindName]; ok {
		kindName = short
	}
	if named {
		return kindName + "/" + name
	}
	return kindName
}

// shortened cuts a text in the middle: names of a kind differ at their end.
func shortened(text string, width int) string {
	runes := []rune(text)
	if len(runes) <= width {
		return text
	}
	head := width / 2
	return string(runes[:head]) + "…" + string(runes[len(runes)-(width-head-1):])
}

func widthsOf(rows [][]string) []int {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	return widths
}

// total is the width of a table.
func total(widths []int, gap int) int {
	sum := gap * (len(widths) - 1)
	for _, w := range widths {
		sum += w
	}
	return sum
}
