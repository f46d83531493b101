//go:build unix

package plugin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/creack/pty"
	. "github.com/onsi/gomega"
)

// session is what somebody types, and sees.
type session struct {
	*fixture
	kubeconfig string
	commands   []performed
}

// performed is a command with what the terminal showed.
type performed struct {
	command, output string
	// drawn is the output with its colours.
	drawn string
}

// Size of the terminal of a session.
const sessionColumns, sessionRows = 150, 40

func (s *session) run(command string) { s.t.Helper(); s.perform(command, "") }

// answer answers the question that a command asks.
func (s *session) answer(text, command string) { s.t.Helper(); s.perform(command, text+"\n") }

func (s *session) perform(command, typed string) {
	s.t.Helper()
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Env = append(surroundings(), "TERM=xterm", "KUBECONFIG="+s.kubeconfig)
	if strings.Contains(command, "HOLDFAST_DATABASE_URL") {
		cmd.Env = append(cmd.Env, "HOLDFAST_DATABASE_URL="+stack.Postgres.URL())
	}
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: sessionRows, Cols: sessionColumns})
	s.Expect(err).NotTo(HaveOccurred())
	defer terminal.Close()
	shown := &screen{cmd: cmd, terminal: terminal, done: make(chan struct{})}
	shown.follow()
	if typed != "" {
		s.Eventually(shown.text).Should(ContainSubstring("Type yes: "))
		s.Expect(shown.types(typed)).To(Succeed())
	}
	code := shown.ends()
	<-shown.done
	drawn := strings.ReplaceAll(shown.text(), "\r\n", "\n")
	if host, err := os.Hostname(); err == nil {
		drawn = strings.ReplaceAll(drawn, host+"_", strings.Repeat("m", utf8.RuneCountInString(host))+"_") // the machine is nobody's concern
	}
	p := performed{command: command, drawn: drawn, output: painted.ReplaceAllString(drawn, "")}
	s.Expect(code).To(BeElementOf(0, 1, 124), "%s\n%s", command, p.output)
	s.Expect(p.output).NotTo(ContainSubstring("\x1b"), command)
	s.t.Logf("$ %s\n%s", command, p.output)
	s.commands = append(s.commands, p)
}

// find finds a command by its text, whatever the names of the run.
func (s *session) find(command string) *performed {
	for i := range s.commands {
		if hashless(s.commands[i].command) == hashless(command) {
			return &s.commands[i]
		}
	}
	return nil
}

// A recording has the pace of somebody who reads, not that of the run.
const keystroke, answered, readFor = 0.03, 0.4, 2.5

// record writes the session for asciinema, and as a picture.
func (s *session) record(folder string) {
	s.t.Helper()
	s.Expect(os.MkdirAll(folder, 0o755)).To(Succeed())
	var cast bytes.Buffer
	line := func(v any) {
		encoder := json.NewEncoder(&cast)
		encoder.SetEscapeHTML(false)
		s.Expect(encoder.Encode(v)).To(Succeed())
	}
	line(map[string]any{"version": 2, "width": sessionColumns, "height": sessionRows, "title": "kubectl holdfast"})
	at := 0.0
	show := func(text string, pause float64) {
		at += pause
		line([]any{json.Number(fmt.Sprintf("%.2f", at)), "o", strings.ReplaceAll(text, "\n", "\r\n")})
	}
	for _, c := range s.commands {
		show("$ ", readFor)
		for _, r := range c.command {
			show(string(r), keystroke)
		}
		show("\n", keystroke)
		show(c.drawn, answered)
	}
	s.Expect(os.WriteFile(filepath.Join(folder, "kubectl-session.cast"), cast.Bytes(), 0o600)).To(Succeed())
	s.Expect(os.WriteFile(filepath.Join(folder, "kubectl-session.svg"), []byte(s.picture()), 0o600)).To(Succeed())
}

// compareRecorded holds the recorded session to what the commands print.
func (s *session) compareRecorded(path string) {
	s.t.Helper()
	text, err := os.ReadFile(path)
	s.Expect(err).NotTo(HaveOccurred())
	var recorded strings.Builder
	for i, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if i == 0 {
			continue // its size
		}
		var event []any
		s.Expect(json.Unmarshal([]byte(line), &event)).To(Succeed())
		recorded.WriteString(event[2].(string))
	}
	shown := painted.ReplaceAllString(strings.ReplaceAll(recorded.String(), "\r\n", "\n"), "")
	commands := takenApart(shown)
	s.Expect(commands).To(HaveLen(len(s.commands)), "make docs-kubectl records it anew")
	for i, c := range commands {
		s.Expect(hashless(c.command)).To(Equal(hashless(s.commands[i].command)), "make docs-kubectl records it anew")
		s.Expect(s.same(c.output)).To(Equal(s.same(s.commands[i].output)), "the recorded `%s`; make docs-kubectl records it anew", c.command)
	}
}

// spaced keeps spaces and bold text in a picture.
var spaced = strings.NewReplacer(" ", "\u00a0", "\x1b[1m", `<tspan font-weight="bold">`, "\x1b[0m", "</tspan>")

// picture is the session as one tall terminal.
func (s *session) picture() string {
	const columnWidth, rowHeight, margin = 7.2, 17, 14
	var rows []string
	for _, c := range s.commands {
		rows = append(rows, fmt.Sprintf(`<tspan fill="#7ee787">$</tspan> <tspan font-weight="bold">%s</tspan>`, html.EscapeString(c.command)))
		for line := range strings.Lines(c.drawn) {
			runes := []rune(strings.TrimRight(line, "\n"))
			for len(runes) > sessionColumns { // no line with colours is so long
				rows, runes = append(rows, spaced.Replace(html.EscapeString(string(runes[:sessionColumns])))), runes[sessionColumns:]
			}
			rows = append(rows, spaced.Replace(html.EscapeString(string(runes))))
		}
		rows = append(rows, "")
	}
	width, height := int(sessionColumns*columnWidth)+2*margin, len(rows)*rowHeight+2*margin
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="A session of kubectl holdfast">`+"\n", width, height, width, height)
	fmt.Fprintf(&svg, `<rect width="100%%" height="100%%" rx="8" fill="#0d1117"/>`+"\n")
	fmt.Fprintf(&svg, `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="12" fill="#e6edf3">`+"\n")
	for i, row := range rows {
		if row != "" {
			fmt.Fprintf(&svg, `<text x="%d" y="%d">%s</text>`+"\n", margin, margin+rowHeight*(i+1)-5, row)
		}
	}
	svg.WriteString("</g>\n</svg>\n")
	return svg.String()
}
