package models

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	. "github.com/onsi/gomega"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// What is read quickly is what encoding/json reads.
func TestScalarsAreReadAsJSONIs(t *testing.T) {
	g := NewWithT(t)
	type all struct {
		S  string
		PS *string
		B  bool
		PB *bool
		I  int64
		PI *int64
		F  float64
		PF *float64
		T  outboxapi.Time
		PT *outboxapi.Time
		H  byteaText
		R  json.RawMessage
	}
	for _, raw := range []string{
		`""`, `"a"`, `"\u0061"`, `"a\"b"`, "\"\xff\"", `"字"`, "\"\u2028\"", `true`, `false`, `0`, `-0`, `7`, `-9223372036854775808`, `9223372036854775807`, `9223372036854775808`, `1.0`, `1e3`, `1e400`, `-0.5`,
		`"\\x"`, `"\\x00ff"`, `"\\x0"`, `"\\xzz"`, `"2026-11-23T00:00:00+00:00"`, `"2026-11-23t01:02:03.456789z"`,
		`"2026-11-23"`, `"0001-01-01T00:00:00+00:00 BC"`, `[]`, `{}`, `"\ud800"`, `"\ud83d\ude00 \n"`, `"\u0000"`, "\"\\n\xff\"",
	} {
		for i := range reflect.TypeFor[all]().NumField() {
			var quick, plain all
			into := reflect.ValueOf(&quick).Elem().Field(i)
			if !scalar([]byte(raw), into) {
				g.Expect(quick).To(Equal(all{}), "a field that is not read stays as it was")
				continue
			}
			g.Expect(json.Unmarshal([]byte(raw), reflect.ValueOf(&plain).Elem().Field(i).Addr().Interface())).To(Succeed(), "%s into %s", raw, into.Type())
			g.Expect(quick).To(Equal(plain), fmt.Sprintf("%s into %s", raw, into.Type()))
		}
	}
}

// What is decoded by the newer decoder is what encoding/json makes of it, and what that refuses is refused.
func TestPartsAreReadAsJSONIs(t *testing.T) {
	g := NewWithT(t)
	type all struct {
		T  *Target
		SC *SignalContext
		S  []string
		C  []Child
		A  []DeliveryAttempt
		M  map[string]string
		X  any
	}
	seen := 0
	for _, raw := range []string{
		`{}`, `[]`, `null`, `7`, `"a"`, `{"name":"a"}`, `{"NAME":"a"}`, `{"name":"a","Name":"b","name":"c"}`, `{"name":null}`, `{"name":7}`, `{"name":"\ud800"}`, "{\"name\":\"\xff\"}", `{"labels":{"a":"b","a":"c"}}`,
		`{"labels":{"a":7}}`, `{"name":"a","unknown":{"deep":[1,2,{}]}}`, `["a",null,"b"]`, `[{"uid":"x","service":"y"},null]`, `[7]`, `{"a":"b"}`, `{"a":null}`, `[1e400]`, `9007199254740993`, `[{"attemptedAt":"2026-11-23T00:00:00Z"}]`,
		`[{"attempted_at":"2026-11-23T00:00:00Z","status":"success","channel":"console"}]`, `[{"attempted_at":"yesterday"}]`, `{"receivedAt":"x"}`,
	} {
		for i := range reflect.TypeFor[all]().NumField() {
			var quick, plain all
			into := reflect.ValueOf(&quick).Elem().Field(i)
			err := json.Unmarshal([]byte(raw), reflect.ValueOf(&plain).Elem().Field(i).Addr().Interface())
			if composite([]byte(raw), into) {
				g.Expect(err).NotTo(HaveOccurred(), "%s into %s", raw, into.Type())
				g.Expect(quick).To(Equal(plain), fmt.Sprintf("%s into %s", raw, into.Type()))
				seen++
				continue
			}
			g.Expect(quick).To(Equal(all{}), "a field that is not read is empty")
		}
	}
	g.Expect(seen).To(BeNumerically(">", 40))
}
