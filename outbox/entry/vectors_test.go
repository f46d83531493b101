package entry_test

import (
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

var update = flag.Bool("update", false, "write docs/entry-vectors.json anew")

// vector is an outbox of docs/entry-vectors.json: a good one, or one with a fault that a checker must find.
type vector struct {
	Name    string            `json:"name"`
	Good    bool              `json:"good"`
	UID     types.UID         `json:"uid"`
	Created string            `json:"created"`
	Outbox  *outboxapi.Outbox `json:"outbox"`
}

func vectors(t *testing.T) []vector {
	t.Helper()
	of := func(changes ...entry.Change) *outboxapi.Outbox {
		var o *outboxapi.Outbox
		for i, c := range changes {
			next, _, err := entry.Append(o, source, c, now, entry.Salt{byte(i + 1)}, entry.DefaultLimits())
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
	// rewritten has an entry written anew, with the hash of its new text at the head: only its place is wrong, or what it says.
	rewritten := func(change func(*entry.Entry)) *outboxapi.Outbox {
		o := good()
		e := outboxtest.Entries(t, o)[3]
		change(&e)
		text, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		o.Entries[3], o.HeadHash = outboxapi.Entry(text), entry.Hash(text)
		return o
	}
	record := func(text string) func(*entry.Entry) {
		return func(e *entry.Entry) { e.Record = json.RawMessage(text) }
	}
	trimmed := good()
	trimmed.PersistedSequence = 2
	trimmed.SetEntries(trimmed.Entries[2:])
	numbers := change(map[string]any{"a": 0.1, "b": 0.00025, "c": -1.0, "d": 123456789012.5, "é": 1, "\U0001F600": 2, "\uFB01": 3})
	missing := good()
	missing.Entries = append(missing.Entries[:1:1], missing.Entries[2:]...)
	headless := good()
	headless.HeadHash = strings.Repeat("0", 64)
	var all []vector
	for _, v := range []vector{
		{Name: "four entries", Good: true, Outbox: good()},
		{Name: "one entry", Good: true, Outbox: of(plain)},
		{Name: "trimmed at the front", Good: true, Outbox: trimmed},
		{Name: "numbers, and names in the order of UTF-16", Good: true, Outbox: of(plain, numbers)},
		{Name: "the id of another entry", Outbox: rewritten(func(e *entry.Entry) { e.ID = outboxtest.Entries(t, good())[2].ID })},
		{Name: "the entry of another resource", Outbox: rewritten(func(e *entry.Entry) { e.Source.UID = "00000000-0000-4000-8000-000000000001" })},
		{Name: "the right hash and another sequence", Outbox: rewritten(func(e *entry.Entry) { e.Sequence = 5 })},
		{Name: "a salt that is too short", Outbox: rewritten(func(e *entry.Entry) { e.Salt = "c2hvcnQ" })},
		{Name: "a salt with bits too many", Outbox: rewritten(func(e *entry.Entry) { e.Salt = "AAAAAAAAAAAAAAAAAAAAAB" })},
		{Name: "no final entry in a closed outbox", Outbox: rewritten(func(e *entry.Entry) { e.Final = false })},
		{Name: "a schema version below 1", Outbox: rewritten(func(e *entry.Entry) { e.SchemaVersion = 0 })},
		{Name: "a record with a blank", Outbox: rewritten(record(`{ "a":1}`))},
		{Name: "a record with a number in another form", Outbox: rewritten(record(`{"a":1.0}`))},
		{Name: "a record in another order", Outbox: rewritten(record(`{"b":1,"a":2}`))},
		{Name: "a changed record", Outbox: replaced(1, "temp", "tmp")},
		{Name: "a changed last entry", Outbox: replaced(3, "Completed", "Cancelled")},
		{Name: "blanks", Outbox: replaced(3, `"final":true`, `"final": true`)},
		{Name: "a member too many", Outbox: replaced(0, `"id":`, `"hash":"","id":`)},
		{Name: "no salt", Outbox: replaced(0, `"salt":"AQAAAAAAAAAAAAAAAAAAAA",`, "")},
		{Name: "an entry taken out", Outbox: missing},
		{Name: "another head", Outbox: headless},
	} {
		v.UID, v.Created = source.UID, created.Format("2006-01-02T15:04:05Z")
		all = append(all, v)
	}
	return all
}

const vectorsFile = "../../docs/entry-vectors.json"

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
	out, err := exec.CommandContext(t.Context(), python, "../../hack/check-entries.py", vectorsFile).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
