package outbox

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/gowebpki/jcs"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// The quick way must give the bytes that the library gives: they are what stands in databases.
func TestTheQuickCanonicalFormIsTheLibrarys(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[ -~]{0,30}`), rapid.String(), rapid.StringOf(rapid.RuneFrom([]rune{'a', '"', '\\', '<', '&', '\n', 0, 0x7f, 'é', '\u2028', '😀'})))
	record := rapid.OneOf(
		rapid.Map(rapid.MapOf(text, rapid.Float64()), asJSON[map[string]float64]),
		rapid.Map(rapid.MapOf(text, text), asJSON[map[string]string]),
		rapid.SampledFrom([]string{"{}", `{"b":1,"a":[1.50,"\u003c",{"z":null,"y":true}]}`, "null", `"text"`, "[1]", "", "{", `{"a":1}{}`, `{"a":01}`, `{"a":1,"a":2}`}))
	rapid.Check(t, func(t *rapid.T) {
		s := Source{Namespace: text.Draw(t, "namespace"), Name: text.Draw(t, "name"), UID: types.UID(text.Draw(t, "uid"))}
		e := &outboxapi.Entry{
			ID: text.Draw(t, "id"), Kind: text.Draw(t, "kind"), Event: text.Draw(t, "event"), Phase: text.Draw(t, "phase"), Traceparent: text.Draw(t, "traceparent"),
			PreviousHash: text.Draw(t, "previous"), Final: rapid.Bool().Draw(t, "final"), SchemaVersion: rapid.Int32().Draw(t, "version"),
			Sequence:     rapid.OneOf(rapid.Int64(), rapid.Int64Range(1, 1000), rapid.SampledFrom([]int64{1 << 53, 1<<53 - 1, math.MinInt64})).Draw(t, "sequence"),
			RecordedTime: outboxapi.NewTime(time.UnixMicro(rapid.Int64Range(-1<<58, 1<<58).Draw(t, "time"))),
			Record:       apiextensionsv1.JSON{Raw: []byte(record.Draw(t, "record"))},
		}
		want, wantErr := canonicalWhole(s, e)
		have, err := Canonical(s, e)
		if (err == nil) != (wantErr == nil) || !bytes.Equal(have, want) {
			t.Fatalf("%s, %v; the library says %s, %v", have, err, want, wantErr)
		}
		if err != nil {
			return
		}
		canonical, _, err := canonicalRecord(e.Record)
		if err != nil {
			return // Append refuses it
		}
		clean, _, err := repair(e.Record.Raw)
		if err != nil {
			t.Fatal(err)
		}
		if other, err := jcs.Transform(clean); err != nil || !bytes.Equal(canonical, other) {
			t.Fatalf("%s; another library says %s, %v", canonical, other, err)
		}
		e.Record.Raw = canonical
		want, wantErr = canonicalWhole(s, e)
		have, err = canonicalAround(s, e)
		if err != nil || wantErr != nil || !bytes.Equal(have, want) {
			t.Fatalf("around: %s, %v; the library says %s, %v", have, err, want, wantErr)
		}
	})
}

// A record that an API server has written anew (members in another order, characters escaped) is held to the same hash as one that reads as it was appended.
func TestCheckTakesEveryFormOfARecord(t *testing.T) {
	s := Source{Namespace: "shop", Name: "cart", UID: "6f3c9d0e-58c1-4a53-9f63-0c5d1a2b3c4d", Created: time.Unix(0, 0)}
	o, _, err := Append(nil, s, Change{Kind: KindOrchestration, Event: "Created", Phase: "Pending", Record: map[string]any{"a": "<&>é", "b": 1.5}}, time.Unix(1, 0), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for record, agrees := range map[string]bool{
		`{"a":"<&>é","b":1.5}`:                         true,
		`{"b": 1.50, "a": "\u003c\u0026\u003e\u00e9"}`: true,
		`{"a":"<&>e","b":1.5}`:                         false,
		`{"a":"<&>é","b":1.5}{}`:                       false,
		`{"a":"<&>é","b":1.5,"b":1.5}`:                 false,
		``:                                             false,
	} {
		e := o.Entries[0]
		e.Record.Raw = []byte(record)
		text, ok, err := Check(s, &e)
		if ok != agrees {
			t.Errorf("%q agrees: %t, expected %t (%s, %v)", record, ok, agrees, text, err)
		}
		if want, _ := Canonical(s, &o.Entries[0]); agrees && !bytes.Equal(text, want) {
			t.Errorf("%q gives %s, expected %s", record, text, want)
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
