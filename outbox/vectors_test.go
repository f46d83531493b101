package outbox_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var update = flag.Bool("update", false, "write docs/entry-vectors.json anew")

// vector is an outbox of docs/entry-vectors.json: a good one, or one with a fault that a checker must find.
type vector struct {
	Name    string            `json:"name"`
	Good    bool              `json:"good"`
	Created string            `json:"created"`
	Outbox  *outboxapi.Outbox `json:"outbox"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	of := func(changes ...outbox.Change) *outboxapi.Outbox {
		var o *outboxapi.Outbox
		for i, c := range changes {
			next, _, err := outbox.Append(o, source, c, now, outbox.Salt{byte(i + 1)}, outbox.DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			o = next
		}
		return o
	}
	plain := change(map[string]any{"workflow_id": "undo", "steps": 2})
	traced := change(map[string]any{"root_cause": "it said: \"C:\\temp\" isn't there,\n<tag> & é 😀"})
	traced.Traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	foreign := change(map[string]any{"bytes": 7})
	foreign.Kind, foreign.Phase = "backups.example.com", "完了"
	last := plain
	last.Event, last.Final = "Completed", true
	good := func() *outboxapi.Outbox { return of(plain, traced, foreign, last) }
	replaced := func(i int, from, to string) *outboxapi.Outbox {
		o := good()
		text := strings.Replace(string(o.Entries[i]), from, to, 1)
		if text == string(o.Entries[i]) {
			t.Fatalf("%s is not in %s", from, text)
		}
		o.Entries[i] = outboxapi.Entry(text)
		return o
	}
	missing := good()
	missing.Entries = append(missing.Entries[:1:1], missing.Entries[2:]...)
	headless := good()
	headless.HeadHash = strings.Repeat("0", 64)
	var all []vector
	for _, v := range []vector{
		{Name: "four entries", Good: true, Outbox: good()},
		{Name: "one entry", Good: true, Outbox: of(plain)},
		{Name: "a changed record", Outbox: replaced(1, "temp", "tmp")},
		{Name: "a changed last entry", Outbox: replaced(3, "Completed", "Cancelled")},
		{Name: "blanks", Outbox: replaced(3, `"final":true`, `"final": true`)},
		{Name: "a member too many", Outbox: replaced(0, `"id":`, `"hash":"","id":`)},
		{Name: "no salt", Outbox: replaced(0, `"salt":"AQAAAAAAAAAAAAAAAAAAAA",`, "")},
		{Name: "an entry taken out", Outbox: missing},
		{Name: "another head", Outbox: headless},
	} {
		v.Created = created.Format("2006-01-02T15:04:05Z")
		all = append(all, v)
	}
	return all
}

const vectorsFile = "../docs/entry-vectors.json"

func TestTheVectorsAreWhatIsWritten(t *testing.T) {
	g := NewWithT(t)
	want, err := json.MarshalIndent(vectors(t), "", "  ")
	g.Expect(err).NotTo(HaveOccurred())
	if *update {
		g.Expect(os.WriteFile(vectorsFile, append(want, '\n'), 0o644)).To(Succeed())
	}
	g.Expect(os.ReadFile(vectorsFile)).To(MatchJSON(want), "a release writes entries as docs/entry.md says; run with -update if the page changed")
}

// Another program, in another language, comes to the same verdict.
func TestTheVectorsAreCheckedByAnotherProgram(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("NOT TRIED: no python3 found, which checks the vectors of docs/entry.md (Debian: apt-get install python3)")
	}
	out, err := exec.CommandContext(t.Context(), python, "../hack/check-entries.py", vectorsFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
