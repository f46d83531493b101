package models

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var kinds = map[string]string{
	"orchestration":       TableOrchestration,
	"ai-decision":         TableAIAnalysis,
	"execution":           TableExecution,
	"notification":        TableNotification,
	"backups.example.com": TableResource,
}

func TestEveryKindHasATable(t *testing.T) {
	g := NewWithT(t)
	seen := map[string]bool{}
	for kind, table := range kinds {
		g.Expect(NewRow(kind).Table()).To(Equal(table), kind)
		seen[table] = true
	}
	for _, table := range Tables() {
		g.Expect(seen).To(HaveKey(table))
	}
}

// example fills a record struct so that every field is present in its JSON.
func example(t *testing.T, record any) map[string]json.RawMessage {
	t.Helper()
	v := reflect.ValueOf(record).Elem()
	for i := range v.NumField() {
		fill(v.Field(i))
	}
	raw, err := json.Marshal(record)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	var fields map[string]json.RawMessage
	NewWithT(t).Expect(json.Unmarshal(raw, &fields)).To(Succeed())
	NewWithT(t).Expect(fields).To(HaveLen(v.NumField()))
	return fields
}

func fill(v reflect.Value) {
	if v.Type() == reflect.TypeFor[outboxapi.Time]() {
		v.Set(reflect.ValueOf(outboxapi.NewTime(time.Date(2026, 11, 23, 4, 5, 6, 789, time.UTC))))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("text"), value)
	case reflect.String:
		v.SetString("text")
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(62.5)
	}
}

func encode(t *testing.T, fields map[string]json.RawMessage) []byte {
	t.Helper()
	raw, err := json.Marshal(fields)
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return raw
}

func TestProjectionFillsEveryColumnOfTheRecord(t *testing.T) {
	for kind := range kinds {
		row := NewRow(kind)
		if row.record() == nil {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			g := NewWithT(t)
			fields := example(t, row.record())
			fields["of_a_later_release"] = json.RawMessage(`{"a":1}`)
			got, err := Project(kind, Envelope{ID: "x", Sequence: 3}, encode(t, fields))
			g.Expect(err).NotTo(HaveOccurred())
			g.Expect(got.record()).To(Equal(row.record()))
			g.Expect(got.Head().Sequence).To(BeEquivalentTo(3))
		})
	}
}

func TestAWrongTypeIsNamed(t *testing.T) {
	for kind := range kinds {
		row := NewRow(kind)
		if row.record() == nil {
			continue
		}
		fields := example(t, row.record())
		for name, good := range fields {
			t.Run(kind+"/"+name, func(t *testing.T) {
				g := NewWithT(t)
				fields[name] = json.RawMessage(`[[false]]`)
				_, err := Project(kind, Envelope{}, encode(t, fields))
				g.Expect(err).To(MatchError(And(ContainSubstring(name), ContainSubstring("expected"))))
				fields[name] = good
			})
		}
	}
}

func TestRequiredFields(t *testing.T) {
	for kind := range kinds {
		row := NewRow(kind)
		if row.record() == nil {
			continue
		}
		required := 0
		typ := reflect.TypeOf(row.record()).Elem()
		fields := example(t, row.record())
		for i := range typ.NumField() {
			name, options, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			for _, absent := range []string{"left out", "null"} {
				t.Run(fmt.Sprintf("%s/%s %s", kind, name, absent), func(t *testing.T) {
					g := NewWithT(t)
					good := fields[name]
					defer func() { fields[name] = good }()
					delete(fields, name)
					if absent == "null" {
						fields[name] = json.RawMessage(`null`)
					}
					_, err := Project(kind, Envelope{}, encode(t, fields))
					if options == "omitempty" {
						g.Expect(err).NotTo(HaveOccurred())
						return
					}
					required++
					g.Expect(err).To(MatchError(ContainSubstring(name + " is missing")))
				})
			}
		}
		NewWithT(t).Expect(required).To(BeNumerically(">=", 4), kind)
	}
}

func TestWhatIsNoObjectIsRefused(t *testing.T) {
	for kind := range kinds {
		for _, record := range []string{``, `null`, `[]`, `"text"`, `{`} {
			if kinds[kind] == TableResource && record == `{` {
				continue // the database refuses it
			}
			_, err := Project(kind, Envelope{}, []byte(record))
			NewWithT(t).Expect(err).To(HaveOccurred(), "%s %q", kind, record)
		}
	}
}

func TestAResourceKeepsItsRecordWhole(t *testing.T) {
	g := NewWithT(t)
	row, err := Project("backups.example.com", Envelope{}, []byte(`{"copied":3,"of":{"a":[1]}}`))
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(row).To(Equal(&ResourceRow{Kind: "backups.example.com", Record: `{"copied":3,"of":{"a":[1]}}`}))
}
