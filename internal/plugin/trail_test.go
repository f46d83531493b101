//go:build unix

package plugin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/types"

	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// at runs a command with a database.
func (f *fixture) at(database string, args ...string) said {
	f.t.Helper()
	return f.program([]string{"HOLDFAST_DATABASE_URL=" + database}, filepath.Join(programs, "kubectl-holdfast"), append(args, "-n", f.namespace)...)
}

func printed(code int, stdout, stderr types.GomegaMatcher) types.GomegaMatcher {
	return And(HaveField("Code", code), HaveField("Stdout", stdout), HaveField("Stderr", stderr))
}

// The commands that holdfast has too take kubectl's flags, and their texts name this program.
func TestTheTrail(t *testing.T) {
	f := setup(t)
	database, err := stack.Postgres.CreateDatabase(ctx, "trail")
	f.Expect(err).NotTo(HaveOccurred())
	s := f.program([]string{"HOLDFAST_DATABASE_URL=" + database}, filepath.Join(programs, "holdfast"), "migrate", "up")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	nr := testenv.MakeNotification(f.namespace, "news").Obj()
	f.create(nr)
	f.append(nr, change("SendingStarted", "Sending", false))
	f.append(nr, change("DeliverySucceeded", "Sent", true))
	dir := t.TempDir()
	pending, held := filepath.Join(dir, "pending.jsonl"), filepath.Join(dir, "news.jsonl")

	f.Expect(f.in("export", "--file", pending)).To(printed(0, BeEmpty(), ContainSubstring("Exported 2 entries of 1 resource")))
	piped := f.in("export")
	f.Expect(piped).To(printed(0, ContainSubstring(`"holdfast-export"`), ContainSubstring("standard output")))
	f.Expect(strings.Count(piped.Stdout, "\n")).To(Equal(3))
	f.Expect(f.at(database, "import", pending)).To(printed(0, MatchRegexp(`news +2 +2 +0`), BeEmpty()))
	f.example("verify --rows-only", f.at(database, "verify", "--rows-only"), 0)
	f.Expect(f.at(database, "verify", "--rows-only", "-o", "json").Stdout).To(ContainSubstring(`"intact": true`))

	// One entry is altered on its way.
	again := testenv.MakeNotification(f.namespace, "altered").Obj()
	f.create(again)
	f.append(again, change("SendingStarted", "Sending", false))
	f.delete(again)
	text := []byte(strings.Replace(f.in("export").Stdout, `\"phase\":\"Sending\"`, `\"phase\":\"Forged\"`, 1))
	altered := filepath.Join(dir, "altered.jsonl")
	f.Expect(os.WriteFile(altered, text, 0o600)).To(Succeed())
	f.Expect(f.at(database, "import", altered)).To(printed(1, ContainSubstring("dead letter"), ContainSubstring("import is incomplete")))
	f.example("dead-letter list", f.at(database, "dead-letter", "list"), 0)
	id := regexp.MustCompile(`[0-9a-f-]{36}`).FindString(f.at(database, "dead-letter", "list").Stdout)
	f.Expect(f.at(database, "dead-letter", "show", id)).To(printed(0, Not(ContainSubstring("`holdfast ")), BeEmpty()))
	f.Expect(f.at(database, "dead-letter", "redrive", id)).To(printed(1, ContainSubstring("failed"), ContainSubstring("could not be stored as rows")))

	// The cluster has resources of which this database has nothing.
	f.Expect(f.at(database, "verify", "--resource", "backups.example.com=backups.v1.backups.example.com")).To(And(HaveField("Code", Or(Equal(0), Equal(1))), HaveField("Stdout", ContainSubstring("live resource"))))
	f.Expect(f.at(database, "verify", "--as=nobody")).To(printed(2, Not(ContainSubstring("is whole.")), ContainSubstring("docs/kubectl.md lists the rights")))

	f.example("release --all --file held.jsonl --dry-run", f.in("release", "--all", "--file", held, "--dry-run"), 0)
	f.Expect(f.in("release", "nr/news", "--file", held, "--yes")).To(printed(2, BeEmpty(), ContainSubstring("is not in deletion")))
	f.Expect(f.in("release", "--all", "--file", held)).To(printed(2, ContainSubstring("Type yes to continue"), ContainSubstring("canceled")))
	f.Expect(f.in("release", "nr/altered", "--file", held, "--yes")).To(printed(0, And(ContainSubstring("1/1 released"), ContainSubstring("run: kubectl holdfast import")), BeEmpty()))
	f.gone(again)
}

// What is away, missing or forbidden has a sentence and an exit status.
func TestBadInputForTheTrail(t *testing.T) {
	f := setup(t)
	plugin, outbox := filepath.Join(programs, "kubectl-holdfast"), filepath.Join(programs, "kubectl-outbox")
	file := filepath.Join(t.TempDir(), "held.jsonl")
	none, away := []string{"KUBECONFIG=/none"}, []string{"HOLDFAST_DATABASE_URL=postgres://me@127.0.0.1:1/none"}
	for name, test := range map[string]struct {
		program string
		env     []string
		args    []string
		want    string
	}{
		"verify without a kubeconfig":  {plugin, none, []string{"verify"}, "--rows-only"},
		"export without a kubeconfig":  {plugin, none, []string{"export"}, "no cluster"},
		"trends without a kubeconfig":  {plugin, none, []string{"trends"}, "no cluster"},
		"console without a kubeconfig": {plugin, none, []string{"console"}, "no cluster"},
		"release without a cluster":    {plugin, nil, []string{"release", "--all", "-A", "--file", file, "--server", "https://127.0.0.1:1"}, "check the cluster's address"},
		"trends without a cluster":     {plugin, nil, []string{"trends", "--server", "https://127.0.0.1:1"}, "check the cluster's address"},
		"export without rights":        {plugin, nil, []string{"export", "--as=nobody"}, "lists the rights"},
		"no database":                  {plugin, nil, []string{"dead-letter", "list"}, "HOLDFAST_DATABASE_URL"},
		"a database that is away":      {plugin, away, []string{"verify", "--rows-only"}, "127.0.0.1:1"},
		"a flag with a password":       {plugin, nil, []string{"dead-letter", "list", "-database-url=postgres://me:XQZ@h/x"}, "two dashes"},
		"no such release":              {outbox, nil, []string{"release", "nr/x", "--file", file}, "not found"},
		"a name that is none":          {outbox, nil, []string{"dead-letter", "show"}, "kubectl outbox dead-letter list"},
		"a console on a taken port":    {plugin, nil, []string{"console", "--port=70000"}, "--port is 70000"},
		"a service of http":            {plugin, nil, []string{"trends", "--reports-url=http://reports.example.com", "--reports-token-file=/dev/null"}, "expected https"},
		"no trends in outbox":          {outbox, nil, []string{"trends"}, "unknown command"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			s := f.program(test.env, test.program, append(test.args, "-n", f.namespace)...)
			g.Expect(s).To(And(HaveField("Code", 2), HaveField("Stderr", And(ContainSubstring(test.want), Not(ContainSubstring("XQZ"))))))
		})
	}
}

// ofTheMoment is the begin of a hash that is cut, and what trends say of times.
var ofTheMoment = regexp.MustCompile(`[0-9a-f]+…|(?m:^Trends from .*\n|^- The bottleneck that .*\n)`)

// example holds a block of docs/kubectl.md to what its command prints. `make docs-kubectl` writes it anew.
func (f *fixture) example(command string, s said, code int) {
	f.t.Helper()
	f.Expect(s.Code).To(Equal(code), "%+v", s)
	path := filepath.Join("..", "..", "docs", "kubectl.md")
	page, err := os.ReadFile(path)
	f.Expect(err).NotTo(HaveOccurred())
	start := "```shell-session\n$ kubectl holdfast " + command + "\n"
	before, rest, found := strings.Cut(string(page), start)
	f.Expect(found).To(BeTrue(), "docs/kubectl.md does not show %q", command)
	shown, after, _ := strings.Cut(rest, "```")
	padding := strings.Repeat(" ", len(f.namespace)-len("shop")) // columns stay in line
	is := regexp.MustCompile(f.namespace+`(\S*)(  +)`).ReplaceAllString(s.Stdout, "shop${1}"+padding+"${2}")
	is = strings.ReplaceAll(is, f.namespace, "shop")
	if *docsFolder != "" {
		f.Expect(os.WriteFile(filepath.Join(*docsFolder, "kubectl.md"), []byte(before+start+is+"```"+after), 0o600)).To(Succeed())
		return
	}
	same := func(text string) string { return ofTheMoment.ReplaceAllString(f.without(text), "") }
	f.Expect(same(shown)).To(Equal(same(is)), "make docs-kubectl writes the page anew")
}
