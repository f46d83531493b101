package api_test

import (
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

func TestReadsEveryRFC3339Time(t *testing.T) {
	for in, want := range map[string]string{
		`"2026-11-23T04:05:06Z"`:                "2026-11-23T04:05:06.000000Z",
		`"2026-11-23T04:05:06.1Z"`:              "2026-11-23T04:05:06.100000Z",
		`"2026-11-23T04:05:06.123456789Z"`:      "2026-11-23T04:05:06.123456Z",
		`"2026-11-23T04:05:06.123456789+05:30"`: "2026-11-22T22:35:06.123456Z",
		`null`:                                  "",
	} {
		g := NewWithT(t)
		var got outboxapi.Time
		g.Expect(json.Unmarshal([]byte(in), &got)).To(Succeed(), in)
		g.Expect(got.String()).To(Equal(want))
	}
}

func TestRefusesWhatIsNoTime(t *testing.T) {
	for _, in := range []string{`"yesterday"`, `"2026-02-30T00:00:00Z"`, `"2026-11-23T04:05:60Z"`, `12`, `{}`} {
		g := NewWithT(t)
		var got outboxapi.Time
		g.Expect(json.Unmarshal([]byte(in), &got)).To(MatchError(ContainSubstring("RFC 3339")), in)
	}
}

func TestSurvivesJSONAndTheDatabaseDriver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := outboxapi.NewTime(time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "s"), rapid.Int64Range(0, 999999999).Draw(t, "ns")))
		raw, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var viaJSON, viaText, viaTime outboxapi.Time
		if err := json.Unmarshal(raw, &viaJSON); err != nil {
			t.Fatal(err)
		}
		value, err := in.Value()
		if err != nil {
			t.Fatal(err)
		}
		if value != nil {
			if err := viaTime.Scan(value); err != nil {
				t.Fatal(err)
			}
			if err := viaText.Scan(in.Format("2006-01-02 15:04:05.999999Z07")); err != nil {
				t.Fatal(err)
			}
			if !viaText.Time.Equal(in.Time) || !viaTime.Time.Equal(in.Time) {
				t.Fatalf("%v became %v and %v", in, viaText, viaTime)
			}
		}
		if !viaJSON.Time.Equal(in.Time) {
			t.Fatalf("%v became %v", in, viaJSON)
		}
	})
}

func TestNotSet(t *testing.T) {
	g := NewWithT(t)
	var none *outboxapi.Time
	g.Expect(outboxapi.NewTimePointer(time.Time{})).To(BeNil())
	g.Expect(none.Sub(none)).To(BeZero())
	g.Expect(none.Equal(nil)).To(BeTrue())
	g.Expect(none.DeepCopy()).To(BeNil())
	raw, err := json.Marshal(outboxapi.Time{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(string(raw)).To(Equal("null"))
	var scanned outboxapi.Time
	g.Expect(scanned.Scan(nil)).To(Succeed())
	g.Expect(scanned.Scan(12)).To(MatchError(ContainSubstring("timestamptz")))
}
