package outbox

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/microtime"
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
		e := &Entry{
			ID: text.Draw(t, "id"), Kind: text.Draw(t, "kind"), Event: text.Draw(t, "event"), Phase: text.Draw(t, "phase"), Traceparent: text.Draw(t, "traceparent"),
			PreviousHash: text.Draw(t, "previous"), Final: rapid.Bool().Draw(t, "final"), SchemaVersion: rapid.Int32().Draw(t, "version"),
			Sequence:     rapid.OneOf(rapid.Int64(), rapid.Int64Range(1, 1000), rapid.SampledFrom([]int64{1 << 53, 1<<53 - 1, math.MinInt64})).Draw(t, "sequence"),
			RecordedTime: microtime.New(time.UnixMicro(rapid.Int64Range(-1<<58, 1<<58).Draw(t, "time"))),
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
		e.Record.Raw = canonical
		want, wantErr = canonicalWhole(s, e)
		have, err = canonicalAround(s, e)
		if err != nil || wantErr != nil || !bytes.Equal(have, want) {
			t.Fatalf("around: %s, %v; the library says %s, %v", have, err, want, wantErr)
		}
	})
}

func asJSON[T any](v T) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "{}" // NaN, infinity
	}
	return string(text)
}
