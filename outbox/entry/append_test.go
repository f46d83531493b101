package entry_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

var (
	created = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)
	now     = created.Add(time.Minute + 123456789*time.Nanosecond)
	source  = entry.Source{Namespace: "shop", Name: "cart-crash", UID: "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d", Created: created}
)

func change(record any) entry.Change {
	return entry.Change{Kind: entry.KindExecution, Event: "StepCompleted", Phase: "Executing", Record: record}
}

func mustAppend(t rapid.TB, o *outboxapi.Outbox, c entry.Change) *outboxapi.Outbox {
	t.Helper()
	next, _, err := entry.Append(o, source, c, now, entry.Salt{}, entry.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestIDIsFixedByUIDAndSequence(t *testing.T) {
	g := NewWithT(t)
	id := entry.ID(source.UID, created, 7)
	parsed := uuid.MustParse(id)
	sum := sha256.Sum256([]byte(string(source.UID) + "/7"))

	g.Expect(parsed.Version()).To(Equal(uuid.Version(8)))
	g.Expect(parsed.Variant()).To(Equal(uuid.RFC4122))
	ms := fmt.Sprintf("%012x", created.UnixMilli())
	g.Expect(strings.ReplaceAll(id, "-", "")[:12]).To(Equal(ms))
	g.Expect(parsed[9:16]).To(Equal(sum[3:10]))
	g.Expect(entry.ID(source.UID, created, 8)).NotTo(Equal(id))
	g.Expect(entry.ID("other", created, 7)).NotTo(Equal(id))
}

// The expected text was written by hand from RFC 8785 and the design, so that a change of ours cannot change both sides.
func TestCanonicalTextIsWhatTheContractSays(t *testing.T) {
	g := NewWithT(t)
	o := mustAppend(t, nil, change(map[string]any{"workflow_id": "undo", "effectiveness_score": 97.50, "nested": map[string]any{"b": 1, "a": "é\"\n"}}))
	e := outboxtest.Entries(t, o)[0]
	text := string(o.Entries[0])
	want := `{"event":"StepCompleted","final":false,"id":"` + e.ID + `","kind":"execution","phase":"Executing","previousHash":"",` +
		`"record":{"effectiveness_score":97.5,"nested":{"a":"é\"\n","b":1},"workflow_id":"undo"},"recordedTime":"2026-11-23T04:06:06.123456Z",` +
		`"salt":"AAAAAAAAAAAAAAAAAAAAAA","schemaVersion":1,"sequence":1,"source":{"name":"cart-crash","namespace":"shop","uid":"` + string(source.UID) + `"}}`
	g.Expect(text).To(Equal(want))
	sum := sha256.Sum256([]byte(want))
	g.Expect(o.HeadHash).To(Equal(hex.EncodeToString(sum[:])))
	g.Expect(e.Source.UID).To(Equal(source.UID))
}

// texts holds what a language model, a log line, or an attacker may write.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringOf(rapid.RuneFrom([]rune{'a', '\\', '"', 'u', '0', '\n', '\x00', '\x1f', '\u2028', '😀', '\uFFFD', '\uFFFF', '<', '&', '?'})),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }),
		rapid.SampledFrom([]string{`\u0000`, `\\u0000`, `\ud83d`, "\xed\xa0\xbd", "?0 ?TableName", strings.Repeat("prose ", 9000)}),
	)
}

func records() *rapid.Generator[map[string]any] {
	leaf := rapid.OneOf(rapid.Map(texts(), func(s string) any { return s }),
		rapid.Map(rapid.Int64Range(-1<<53, 1<<53), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Just(any(nil)))
	value := rapid.OneOf(leaf,
		rapid.Map(rapid.SliceOfN(leaf, 0, 4), func(s []any) any { return s }),
		rapid.Map(rapid.MapOfN(rapid.StringMatching(`[a-zé\x{10000}-\x{10010}\x{e000}-\x{e010}]{0,8}`), leaf, 0, 4), func(m map[string]any) any { return m }))
	return rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,12}`), value, 0, 6)
}

// viaEtcd does what the API server does to a custom resource: decode into plain values and encode again.
func viaEtcd(t rapid.TB, o *outboxapi.Outbox) *outboxapi.Outbox {
	raw, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	if raw, err = json.Marshal(plain); err != nil {
		t.Fatal(err)
	}
	back := &outboxapi.Outbox{}
	if err := json.Unmarshal(raw, back); err != nil {
		t.Fatal(err)
	}
	return back
}

func TestAnyRecordKeepsItsHashThroughEtcd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o *outboxapi.Outbox
		for i, record := range rapid.SliceOfN(records(), 1, 5).Draw(t, "records") {
			next, _, err := entry.Append(o, source, change(record), now.Add(time.Duration(i)), entry.Salt{}, entry.DefaultLimits())
			if errors.Is(err, entry.ErrTooLarge) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := entry.Append(o, source, change(record), now.Add(time.Duration(i)), entry.Salt{}, entry.DefaultLimits())
			if err != nil || again.HeadHash != next.HeadHash {
				t.Fatalf("Append is not deterministic: %v", err)
			}
			o = next
		}
		if o == nil {
			return
		}
		previous := ""
		back := viaEtcd(t, o)
		for i, e := range outboxtest.Entries(t, back) {
			text := string(back.Entries[i])
			if e.PreviousHash != previous || e.Sequence != int64(i+1) || entry.PendingOf(source.UID, back).Sequence(i) != e.Sequence {
				t.Fatalf("entry %d: %s, previous %s, sequence %d", i, text, e.PreviousHash, e.Sequence)
			}
			if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
				t.Fatalf("entry %d has what PostgreSQL refuses: %q", i, text)
			}
			previous = entry.Hash([]byte(text))
		}
		if previous != o.HeadHash {
			t.Fatalf("headHash is %s, expected %s", o.HeadHash, previous)
		}
	})
}

func TestTextsThatCannotBeStoredAreRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		in, out  string
		repaired int
	}{
		"NUL":                   {"a\x00b", "a\uFFFDb", 1},
		"invalid UTF-8":         {"a\xffb", "a\uFFFDb", 1},
		"a literal \\u0000":     {`a\u0000b`, `a\u0000b`, 0},
		"four bytes":            {"a😀b", "a😀b", 0},
		"a real U+FFFD":         {"a\uFFFDb", "a\uFFFDb", 0},
		"controls other than 0": {"a\x01\u007fb", "a\x01\u007fb", 0},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			o, repaired, err := entry.Append(nil, source, change(map[string]string{"text": c.in}), now, entry.Salt{}, entry.DefaultLimits())
			g.Expect(err).NotTo(HaveOccurred())
			var record map[string]string
			g.Expect(json.Unmarshal(outboxtest.Entries(t, o)[0].Record, &record)).To(Succeed())
			g.Expect(record["text"]).To(Equal(c.out))
			g.Expect(repaired).To(Equal(c.repaired))
		})
	}
	t.Run("names that are the same once they are repaired", func(t *testing.T) {
		g := NewWithT(t)
		o, repaired, err := entry.Append(nil, source, change(json.RawMessage(`{"labels":{"a\u0000":"1","a\ufffd":"2","a\ufffd#2":"3","a\ud800":{"\u0000":[{"\u0000":1,"\ud800":2}]}},"a":1}`)), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred(), "or nothing could be recorded of an alert with such labels, not even the end")
		g.Expect(repaired).To(BeNumerically(">", 3))
		g.Expect(string(outboxtest.Entries(t, o)[0].Record)).To(MatchJSON(`{"a":1,"labels":{"a\ufffd":"1","a\ufffd#2":"2","a\ufffd#2#2":"3","a\ufffd#3":{"\ufffd":[{"\ufffd":1,"\ufffd#2":2}]}}}`))

		many := bytes.Repeat([]byte(`"\u0000":1,`), 5000)
		_, _, err = entry.Append(nil, source, change(json.RawMessage(append(append([]byte("{"), many...), []byte(`"b":1}`)...))), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).To(Or(Not(HaveOccurred()), MatchError(entry.ErrTooLarge)))

		_, _, err = entry.Append(nil, source, change(json.RawMessage(`{"a":1,"a":2}`)), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).To(MatchError(entry.ErrInvalid), "what was the same from the beginning is wrong")
	})
	t.Run("lone surrogates in raw JSON", func(t *testing.T) {
		g := NewWithT(t)
		o, repaired, err := entry.Append(nil, source, change(json.RawMessage(`{"text":"a\ud83d\ude00b\ud83dc\ude00\\ud83d"}`)), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(repaired).To(Equal(2))
		g.Expect(string(outboxtest.Entries(t, o)[0].Record)).To(Equal(`{"text":"a😀b` + "\uFFFDc\uFFFD" + `\\ud83d"}`))
	})
}

func TestAppendRefuses(t *testing.T) {
	closed := mustAppend(t, nil, entry.Change{Kind: entry.KindExecution, Event: "Completed", Phase: "Completed", Record: map[string]any{}, Final: true})
	with := func(f func(*entry.Change)) entry.Change { c := change(map[string]any{}); f(&c); return c }
	for name, c := range map[string]struct {
		to     *outboxapi.Outbox
		source entry.Source
		change entry.Change
		err    error
		says   string
	}{
		"a closed outbox":        {closed, source, change(map[string]any{}), entry.ErrClosed, "ended with entry 1"},
		"an unknown kind":        {nil, source, with(func(c *entry.Change) { c.Kind = "backup" }), entry.ErrInvalid, `kind is "backup", expected`},
		"an event in prose":      {nil, source, with(func(c *entry.Change) { c.Event = "step done" }), entry.ErrInvalid, `event is "step done", expected CamelCase`},
		"a long phase":           {nil, source, with(func(c *entry.Change) { c.Phase = strings.Repeat("x", 51) }), entry.ErrInvalid, "at most 50"},
		"a broken traceparent":   {nil, source, with(func(c *entry.Change) { c.Traceparent = "00-1" }), entry.ErrInvalid, `traceparent is "00-1"`},
		"no uid":                 {nil, entry.Source{Name: "x"}, change(map[string]any{}), entry.ErrInvalid, "that the API server has created"},
		"a record of no object":  {nil, source, change([]int{1}), entry.ErrInvalid, "record is [1], expected a JSON object"},
		"an integer above 2^53":  {nil, source, change(map[string]any{"n": int64(1<<53 + 1)}), entry.ErrInvalid, "number 9007199254740993"},
		"the same with a point":  {nil, source, change(json.RawMessage(`{"n":9007199254740993.0}`)), entry.ErrInvalid, "number 9007199254740993.0"},
		"the same with a power":  {nil, source, change(json.RawMessage(`{"n":-9007199254740993e0}`)), entry.ErrInvalid, "number -9007199254740993e0"},
		"a head that is no hash": {&outboxapi.Outbox{LastSequence: 1, HeadHash: "zz"}, source, change(map[string]any{}), entry.ErrInvalid, `headHash of shop/cart-crash (uid 6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d) is "zz" at entry 1`},
		"a head that is missing": {&outboxapi.Outbox{LastSequence: 1}, source, change(map[string]any{}), entry.ErrInvalid, `is "" at entry 1`},
		"the last sequence":      {&outboxapi.Outbox{LastSequence: 1<<53 - 1, HeadHash: strings.Repeat("0", 64)}, source, change(map[string]any{}), entry.ErrInvalid, "lastSequence of shop/cart-crash (uid 6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d) is 9007199254740991, expected 0 to 9007199254740990"},
		"a number without bound": {nil, source, change(json.RawMessage(`{"n":1e999}`)), entry.ErrInvalid, "number 1e999"},
		"what is not JSON":       {nil, source, change(func() {}), entry.ErrInvalid, "does not encode to JSON"},
		"a duplicate key":        {nil, source, change(json.RawMessage(`{"a":1,"a":2}`)), entry.ErrInvalid, "canonical"},
		"64 KiB":                 {nil, source, change(map[string]any{"text": strings.Repeat("x", 64<<10)}), entry.ErrTooLarge, "expected at most 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			_, _, err := entry.Append(c.to, c.source, c.change, now, entry.Salt{}, entry.DefaultLimits())
			g.Expect(err).To(MatchError(c.err))
			g.Expect(err.Error()).To(ContainSubstring(c.says))
		})
	}
}

// Whatever a double holds is taken, however large.
func TestLargeNumbersThatADoubleHolds(t *testing.T) {
	g := NewWithT(t)
	for _, n := range []string{"9007199254740992", "9007199254740992.0", "9.007199254740992e15", "90071992547409920e-1", "-9007199254740994", "1e300", "1.0E+300", "123456789012345680000", "0e9"} {
		_, _, err := entry.Append(nil, source, change(json.RawMessage(`{"n":`+n+`}`)), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred(), n)
	}
}

// Texts that nobody appended, before the first entry, have no place: they are no entries, and the next entry takes theirs.
func TestTextsWithoutAPlaceAreNoEntries(t *testing.T) {
	g := NewWithT(t)
	o := &outboxapi.Outbox{Entries: []outboxapi.Entry{"junk", "more"}}
	g.Expect(entry.PendingOf(source.UID, o).Len()).To(BeZero())
	o = mustAppend(t, o, change(map[string]any{}))
	g.Expect(o.Entries).To(HaveLen(1))
	o.Entries = append([]outboxapi.Entry{"junk"}, o.Entries...)
	p := entry.PendingOf(source.UID, o)
	g.Expect(p.Len()).To(Equal(1))
	g.Expect(p.Sequence(0)).To(BeEquivalentTo(1))
	g.Expect(p.Above(entry.Watermark{Sequence: 1, Hash: o.HeadHash}).Len()).To(BeZero())
}

// A text is believed about the one before it only if it is the entry that should be there: what somebody put in its place says nothing about its neighbours.
func TestOnlyAnEntryInItsPlaceSaysWhatComesBeforeIt(t *testing.T) {
	g := NewWithT(t)
	var o, other *outboxapi.Outbox
	elsewhere := source
	elsewhere.UID = "00000000-0000-4000-8000-000000000001"
	for range 3 {
		o = mustAppend(t, o, change(map[string]any{"here": true}))
		next, _, err := entry.Append(other, elsewhere, change(map[string]any{"here": false}), now, entry.Salt{}, entry.DefaultLimits())
		g.Expect(err).NotTo(HaveOccurred())
		other = next
	}
	hashes := func(o *outboxapi.Outbox) (all []string) {
		for i, p := 0, entry.PendingOf(source.UID, o); i < p.Len(); i++ {
			all = append(all, p.Hash(i))
		}
		return all
	}
	own := func(i int) string { return entry.Hash([]byte(o.Entries[i])) }
	good := hashes(o)
	g.Expect(good).To(Equal([]string{own(0), own(1), own(2)}))

	foreign := o.DeepCopy() // the last entry is another resource's third, hash and all
	foreign.Entries[2], foreign.HeadHash = other.Entries[2], other.HeadHash
	g.Expect(hashes(foreign)).To(Equal([]string{own(0), own(1), other.HeadHash}))

	swapped := o.DeepCopy() // in the middle of a closed outbox
	swapped.Entries[1] = other.Entries[1]
	g.Expect(hashes(swapped)).To(Equal(good), "the last is in its place, and says what the second should be; the second says nothing about the first")

	junk := o.DeepCopy()
	junk.Entries[1] = "junk"
	g.Expect(hashes(junk)).To(Equal(good))

	headless := o.DeepCopy()
	headless.HeadHash, headless.Entries[2] = "zz", "junk"
	g.Expect(hashes(headless)).To(Equal([]string{own(0), own(1), entry.Hash([]byte("junk"))}))
}

func TestFullOutboxKeepsRoomForTheClosingEntry(t *testing.T) {
	g := NewWithT(t)
	limits := entry.DefaultLimits()
	for name, size := range map[string]int{"by bytes": 60 << 10, "by entries": 1} {
		var o *outboxapi.Outbox
		record := map[string]any{"text": strings.Repeat("x", size)}
		for {
			next, _, err := entry.Append(o, source, change(record), now, entry.Salt{}, limits)
			if err != nil {
				g.Expect(err).To(MatchError(entry.ErrFull), name)
				break
			}
			o = next
		}
		final := change(record)
		final.Final = true
		o, _, err := entry.Append(o, source, final, now, entry.Salt{}, limits)
		g.Expect(err).NotTo(HaveOccurred(), name)
		raw, err := json.Marshal(o)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(len(raw)).To(BeNumerically("<=", limits.HardBytes), name)
		g.Expect(len(raw)-entry.Size(o.Entries)).To(BeNumerically("~", 150, 100), "the size of what is beside the entries", name)
		g.Expect(len(o.Entries)).To(BeNumerically("<=", limits.HardEntries), name)
		g.Expect(o.Closed).To(BeTrue())
	}
}

func TestAboveTrustsOnlyAMatchingHash(t *testing.T) {
	g := NewWithT(t)
	var o *outboxapi.Outbox
	for i := range 3 {
		o = mustAppend(t, o, change(map[string]any{"i": i}))
	}
	all := entry.PendingOf(source.UID, o)
	g.Expect(all.Above(entry.Watermark{}).Len()).To(Equal(3))
	above := all.Above(entry.Watermark{Sequence: 2, Hash: all.Hash(1)})
	g.Expect(above.Texts()).To(Equal(o.Entries[2:]))
	g.Expect(above.Sequence(0)).To(BeEquivalentTo(3))
	g.Expect(all.Above(entry.Watermark{Sequence: 3, Hash: o.HeadHash}).Len()).To(BeZero())
	g.Expect(all.Above(entry.Watermark{Sequence: 2, Hash: "of another history"}).Len()).To(Equal(3))
	g.Expect(all.Above(entry.Watermark{Sequence: 9, Hash: "of another history"}).Len()).To(Equal(3))
	g.Expect(all.First(2).Texts()).To(Equal(o.Entries[:2]))
	g.Expect(all.First(2).Hash(1)).To(Equal(all.Hash(1)))
}

func TestKnownKinds(t *testing.T) {
	g := NewWithT(t)
	for _, k := range []string{"orchestration", "ai-decision", "execution", "notification", "backups.example.com"} {
		g.Expect(entry.KnownKind(k)).To(BeTrue(), k)
	}
	for _, k := range []string{"", "backup", "Backups.example.com", "a..b", strings.Repeat("a", 250) + ".com"} {
		g.Expect(entry.KnownKind(k)).To(BeFalse(), k)
	}
}
