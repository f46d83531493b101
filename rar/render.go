package rar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Formats in which a report is written.
const (
	FormatJSON     = "json"
	FormatMarkdown = "md"
	FormatHTML     = "html"
	FormatSVG      = "svg"
)

// Formats lists them.
func Formats() []string { return []string{FormatJSON, FormatMarkdown, FormatHTML, FormatSVG} }

// Render writes a report in one of the Formats. A report has the same bytes each time.
func Render(w io.Writer, r *Report, format string) error {
	switch format {
	case FormatJSON:
		return r.writeJSON(w)
	case FormatMarkdown:
		return r.writeMarkdown(w)
	case FormatHTML:
		return RenderPage(w, r, nil)
	case FormatSVG:
		return r.writeSVG(w)
	}
	return fmt.Errorf("format is %.40q, expected one of %q", format, Formats())
}

// writeJSON writes the data as it is, with two blanks of indentation. Maps are written in the order of their keys.
func (r *Report) writeJSON(w io.Writer) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(r); err != nil {
		return fmt.Errorf("report of %.80q as JSON: %w", r.RemediationID, err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
