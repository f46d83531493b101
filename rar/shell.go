package rar

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/url"
	"slices"
	"strings"
)

var (
	//go:embed page.css
	pageCSS string
	//go:embed site.css
	siteCSS string
	//go:embed shell.gohtml
	shellText string

	// shellTemplate has what all documents share: begin, end, and how refs, long texts and commands are written.
	shellTemplate = template.Must(template.New("shell").Funcs(functions).Parse(shellText))

	fileStyle = pageCSS + chartCSS
	siteStyle = fileStyle + siteCSS
)

// Site is what a page has on a server, beyond what a file has.
type Site struct {
	// Section is the entry of the navigation that the page belongs to: its path.
	Section string
	// Commands give the same as JSON, a line each.
	Commands []string
	// Downloads are the other formats of the page.
	Downloads []Link
	// Ranges are windows that the page can show at once, and Fields those of its form.
	Ranges []Range
	Fields []Field
}

// Range is a window that a page offers.
type Range struct {
	Link
	Current bool
}

// Field of a form. Options make it a choice; their URLs are its values.
type Field struct {
	Label, Name, Type, Value, Hint string
	Options                        []Link
	// Set says that its value is not the usual one, Bad that it is none.
	Set, Bad bool
}

// Filtered reports whether a field is set, or wrong.
func (s *Site) Filtered() bool {
	return slices.ContainsFunc(s.Fields, func(f Field) bool { return f.Set || f.Bad })
}

// Link is a text that leads somewhere.
type Link struct{ Text, URL string }

// navigation are the sections of a site.
var navigation = []Link{{"Remediations", "/"}, {"Trends", "/trends"}, {"API", "/docs"}}

// Navigation of the site.
func (s *Site) Navigation() []Link { return navigation }

// ReportURL is the page of a remediation.
func ReportURL(id string) string {
	return "/remediations/" + strings.ReplaceAll(url.QueryEscape(id), "+", "%20")
}

// Shell is what surrounds the content of an HTML document. The templates begin and end write it.
type Shell struct {
	Title string
	// Site is nil for a file: it has nothing to link to.
	Site *Site
}

// Policy is the document's Content-Security-Policy, which it states itself.
func (s *Shell) Policy() string {
	if s.Site != nil {
		return SitePolicy()
	}
	return ContentSecurityPolicy()
}

// Style is the style sheet, in its element.
func (s *Shell) Style() template.HTML {
	style := fileStyle
	if s.Site != nil {
		style = siteStyle
	}
	return template.HTML("<style>" + style + "</style>") //nolint:gosec // ours
}

// Link is the page of a remediation, "" in a file.
func (s *Shell) Link(id string) string {
	if s.Site == nil || id == "" {
		return ""
	}
	return ReportURL(id)
}

// ParsePage parses the template of a page. It writes {{template "begin" .}} and {{template "end" .}} around its content; its data embeds a Shell. It has the functions of a report's
// template, among them short for texts that others have written.
func ParsePage(text string) (*template.Template, error) {
	shell, err := shellTemplate.Clone()
	if err != nil {
		return nil, err
	}
	return shell.New("page").Parse(text)
}

// ContentSecurityPolicy is the policy of an HTML file. The file says it itself; whoever serves one over HTTP says it in a header, too.
func ContentSecurityPolicy() string {
	return "default-src 'none'; " + styleSource(fileStyle) + "; base-uri 'none'; form-action 'none'"
}

// SitePolicy is the policy of a page of a Site. Its forms go to the site, and its icon is within the page.
func SitePolicy() string {
	return "default-src 'none'; " + styleSource(siteStyle) + "; img-src data:; base-uri 'none'; form-action 'self'"
}

func styleSource(style string) string {
	sum := sha256.Sum256([]byte(style))
	return "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
