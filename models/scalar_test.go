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
		`"2026-11-23"`, `"0001-01-01T00:00:00+00:00 BC"`, `[]`, `{}`,
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
