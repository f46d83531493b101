package entry

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// The text that Encode writes is what another library says, and what Decode reads back.
func TestTheTextIsTheCanonicalFormOfAnotherLibrary(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,30}`), rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{'a', '"', '\\', '<', '&', '\n', 0, 0x7f, 'é', '\u2028', '😀'})))
	record := rapid.OneOf(
		rapid.Map(rapid.MapOf(text, rapid.Float64()), asJSON[map[string]float64]),
		rapid.Map(rapid.MapOf(text, text), asJSON[map[string]string]),
		rapid.SampledFrom([]string{"{}", `{"b":1,"a":[1.50,"\u003c",{"z":null,"y":true}]}`}))
	rapid.Check(t, func(t *rapid.T) {
		canonical, _, err := canonicalRecord(json.RawMessage(record.Draw(t, "record")))
		if err != nil {
			return // Append refuses it
		}
		e := Entry{
			ID: text.Draw(t, "id"), Kind: rapid.SampledFrom([]string{KindExecution, "backups.example.com"}).Draw(t, "kind"), Event: "Created", Phase: rapid.SampledFrom([]string{"", "Pending", "完了", `a "quoted" one`, "<\n\u2028"}).Draw(t, "phase"),
			Traceparent: rapid.SampledFrom([]string{"", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}).Draw(t, "traceparent"), PreviousHash: strings.Repeat("0af9", 16), Final: rapid.Bool().Draw(t, "final"), SchemaVersion: SchemaVersion,
			Source: Source{Namespace: text.Draw(t, "namespace"), Name: text.Draw(t, "name"), UID: types.UID(text.Draw(t, "uid"))}, Salt: Salt{1, 2, 250}.String(),
			Sequence: rapid.Int64Range(1, maxSequence).Draw(t, "sequence"), RecordedTime: outboxapi.NewTime(time.UnixMicro(rapid.Int64Range(-1<<54, 1<<57).Draw(t, "time"))), Record: canonical,
		}
		have, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		var plain any
		if err := json.Unmarshal(have, &plain); err != nil {
			t.Fatal(err)
		}
		if want, err := jcs.Transform(have); err != nil || !bytes.Equal(have, want) {
			t.Fatalf("%s; another library says %s, %v", have, want, err)
		}
		back, err := Decode(have)
		if err != nil {
			t.Fatalf("%s: %v", have, err)
		}
		if recorded, ok := RecordedTime(outboxapi.Entry(have)); !ok || !recorded.Time.Equal(back.RecordedTime.Time) {
			t.Fatalf("%s was recorded at %s, expected %s", have, recorded, back.RecordedTime)
		}
		if again, err := back.Encode(); err != nil || !bytes.Equal(again, have) {
			t.Fatalf("%s reads back as %s, %v", have, again, err)
		}
	})
}

// Whatever is in an outbox is either the text of an entry, or named as what it is not. It is read in a time that is its length's.
func TestDecodeRefuses(t *testing.T) {
	good := func() Entry {
		return Entry{ID: "019a0000-0000-8000-8000-000000000000", Sequence: 1, Kind: KindExecution, Event: "Created", Phase: "Pending", RecordedTime: outboxapi.NewTime(time.Unix(1, 0)),
			SchemaVersion: SchemaVersion, Source: Source{Namespace: "shop", Name: "cart", UID: "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d"}, Salt: Salt{}.String(), Record: json.RawMessage(`{"a":1}`)}
	}
	text := func(change func(*Entry)) string {
		e := good()
		change(&e)
		return string(e.envelop())
	}
	swap := func(from, to string) string {
		whole := text(func(*Entry) {})
		if !strings.Contains(whole, from) {
			t.Fatalf("%s is not in %s", from, whole)
		}
		return strings.Replace(whole, from, to, 1)
	}
	if _, err := Decode([]byte(text(func(*Entry) {}))); err != nil {
		t.Fatal(err)
	}
	for says, bad := range map[string]string{
		"no JSON":                            "half an entry",
		"expected a JSON object":             `["an array"]`,
		"EOF":                                swap(`"uid":"6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d"}}`, ""),
		"something follows":                  text(func(*Entry) {}) + "{}",
		"member salt is missing":             swap(`"salt":"AAAAAAAAAAAAAAAAAAAAAA",`, ""),
		`salt is "c2hvcnQ"`:                  text(func(e *Entry) { e.Salt = "c2hvcnQ" }),
		`salt is "AAAAAAAAAAAAAAAAAAAAAB"`:   text(func(e *Entry) { e.Salt = "AAAAAAAAAAAAAAAAAAAAAB" }),
		"member source.uid is missing":       swap(`,"uid":"6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d"`, ""),
		`member "hash" is unknown`:           swap(`"id":`, `"hash":"","id":`),
		`member "source.zone" is unknown`:    swap(`"uid":`, `"zone":"a","uid":`),
		"final is 1, which has the wrong":    swap(`"final":false`, `"final":1`),
		"event is null, which has the wrong": swap(`"event":"Created"`, `"event":null`),
		"sequence is 1.5":                    swap(`"sequence":1`, `"sequence":1.5`),
		"sequence is 0":                      text(func(e *Entry) { e.Sequence = 0 }),
		"sequence is 9007199254740992":       text(func(e *Entry) { e.Sequence = maxSequence + 1 }),
		"previousHash is \"\"":               text(func(e *Entry) { e.Sequence = 2 }),
		"previousHash is \"AB\"":             text(func(e *Entry) { e.PreviousHash = "AB" }),
		"record is [1]":                      text(func(e *Entry) { e.Record = json.RawMessage("[1]") }),
		"kind is \"backup\"":                 text(func(e *Entry) { e.Kind = "backup" }),
		"event is \"\"":                      text(func(e *Entry) { e.Event = "" }),
		"phase is":                           text(func(e *Entry) { e.Phase = strings.Repeat("完", 17) }),
		"traceparent is":                     text(func(e *Entry) { e.Traceparent = "01-" }),
		"schemaVersion is 0":                 text(func(e *Entry) { e.SchemaVersion = 0 }),
		"schemaVersion is -1":                text(func(e *Entry) { e.SchemaVersion = -1 }),
		"schemaVersion is 32768":             text(func(e *Entry) { e.SchemaVersion = 1 << 15 }),
		"recordedTime is":                    swap(`"recordedTime":"1970`, `"recordedTime":"yesterday`),
		"not in canonical form":              swap(`"final":false`, `"final": false`),
		"duplicate":                          swap(`"final":false`, `"final":false,"final":false`),
		"invalid UTF-8":                      swap("Created", "Cre\xffated"),
	} {
		_, err := Decode([]byte(bad))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, expected one that says %s", bad, err, says)
		}
	}
	// The envelope is written around the record as it is, so the record has to be looked at by itself.
	for _, record := range []string{`{ "a":1}`, `{"a":1.0}`, `{"b":1,"a":2}`, `{"a":"\u0041"}`, `{"a":1e3}`} {
		if _, err := Decode([]byte(swap(`{"a":1}`, record))); err == nil || !strings.Contains(err.Error(), "not in canonical form") {
			t.Errorf("the record %s: %v, expected one that says it is not in canonical form", record, err)
		}
	}
	// A later release may add members: that is no fault of the entry, and its schema version says so.
	newer := strings.Replace(swap(`"id":`, `"hash":"","id":`), `"schemaVersion":1`, `"schemaVersion":2`, 1)
	if e, err := Decode([]byte(newer)); err != nil || e.SchemaVersion != 2 || e.Event != "Created" {
		t.Errorf("%s: %+v, %v", newer, e, err)
	}
}

// Whoever writes a text chooses what is in the place of the time.
func TestNoRecordedTimeInWhatIsNoEntry(t *testing.T) {
	const name = `,"recordedTime":`
	for _, text := range []string{"", name, name + `"`, name + `""`, name + `"yesterday"`, name + `7`, name + `"2026-11-23T04:05:06`, name + `"0001-01-01T00:00:00.000000Z"`} {
		if recorded, ok := RecordedTime(outboxapi.Entry(text)); ok {
			t.Errorf("%s: %s, expected none", text, recorded)
		}
	}
}

func asJSON[T any](v T) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}" // NaN, infinity
	}
	return string(text)
}
