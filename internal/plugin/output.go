package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"sigs.k8s.io/yaml"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// result is what a verb found. Its JSON form has everything; text is what of it people read.
type result interface {
	text(p *page)
}

// namer is a result that -o name can print.
type namer interface {
	names() []string
}

// output is -o.
type output struct {
	format  string
	formats []string
	// columns that a table may have; 0: as many as it needs. Only a watch has a limit: what is printed once can be scrolled and copied.
	columns int
}

const (
	formatTable = "table"
	formatWide  = "wide"
	formatJSON  = "json"
	formatYAML  = "yaml"
	formatName  = "name"
)

// addFlags adds -o. Names are for verbs that show resources; a table without further columns is the same when it is wide.
func (o *output) addFlags(cmd *cobra.Command, more ...string) {
	o.formats = append([]string{formatTable, formatWide, formatJSON, formatYAML}, more...)
	cmd.Flags().StringVarP(&o.format, "output", "o", formatTable, "output format: "+strings.Join(o.formats, ", "))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(o.formats, cobra.ShellCompDirectiveNoFileComp))
}

// check refuses a format before anything is read.
func (o *output) check() error {
	if slices.Contains(o.formats, o.format) {
		return nil
	}
	return fmt.Errorf("--output is %q, expected %s", o.format, orList(o.formats))
}

// print writes a result in the format.
func (o *output) print(to io.Writer, r result) error {
	text, err := o.render(to, r)
	if err != nil {
		return err
	}
	if _, err := to.Write(text); err != nil {
		return fmt.Errorf("write the output: %w", err)
	}
	return nil
}

func (o *output) render(to io.Writer, r result) ([]byte, error) {
	switch o.format {
	case formatJSON:
		text, err := encoded(r)
		return reportsclient.PrintableJSON(text), err
	case formatYAML:
		text, err := encoded(r)
		if err != nil {
			return nil, err
		}
		if text, err = yaml.JSONToYAML(text); err != nil {
			return nil, fmt.Errorf("write YAML: %w", err)
		}
		return []byte(reportsclient.Printable(string(text))), nil
	case formatName:
		named, ok := r.(namer)
		if !ok {
			return nil, errors.New("--output is \"name\", which this command cannot print; expected json or yaml")
		}
		var text strings.Builder
		for _, name := range named.names() {
			text.WriteString(line(name) + "\n")
		}
		return []byte(text.String()), nil
	}
	p := &page{wide: o.format == formatWide, colour: colourful(to), columns: o.columns}
	r.text(p)
	return p.buffer.Bytes(), nil
}

// encoded is a result as JSON, as people write it.
func encoded(r any) ([]byte, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(r); err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return text.Bytes(), nil
}

// colourful reports whether colours may go to a writer: to a terminal, unless NO_COLOR is set.
func colourful(to io.Writer) bool {
	return isTerminal(to) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

func isTerminal(w any) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// page is text for people. Nothing that is written to it can be a command for a terminal.
type page struct {
	buffer       bytes.Buffer
	wide, colour bool
	columns      int
}

// line writes a line. Its arguments may be anybody's text.
func (p *page) line(format string, args ...any) {
	p.buffer.WriteString(line(fmt.Sprintf(format, args...)) + "\n")
}

// title writes a line in bold.
func (p *page) title(text string) { p.buffer.WriteString(p.paint("1", line(text)) + "\n") }

func (p *page) paint(code, text string) string {
	if !p.colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table writes rows below a header, in columns of equal width. A row with fewer cells than the header is fine.
func (p *page) table(header []string, rows [][]string) {
	all := append([][]string{header}, rows...)
	for _, row := range all {
		for i := range row {
			row[i] = cell(row[i])
		}
	}
	gap := wideGap
	if p.columns > 0 && total(widthsOf(all), wideGap) > p.columns {
		all, gap = narrowed(all, p.columns), smallGap
	}
	widths := widthsOf(all)
	for n, row := range all {
		var text strings.Builder
		for i, c := range row {
			text.WriteString(c)
			if i < len(row)-1 {
				text.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(c)+gap))
			}
		}
		shown := strings.TrimRight(text.String(), " ")
		if n == 0 {
			shown = p.paint("1", shown)
		}
		p.buffer.WriteString(shown + "\n")
	}
}

// line is a text on one line, without anything that a terminal could take for a command.
func line(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, reportsclient.Printable(text))
}

// cell is a text in a column.
func cell(text string) string {
	if text = strings.TrimFunc(line(text), unicode.IsSpace); text == "" {
		return "-"
	}
	return text
}

// yes is a column of a fact.
func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}
