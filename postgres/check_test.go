package postgres

import (
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// What is refused without asking is what the migrated tables refuse, no more and no less.
func TestTheColumnsAreAsTheDatabaseHasThem(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	for name, table := range s.tables {
		var there []struct {
			ColumnName string
			DataType   string
			Length     int
			Required   bool
		}
		g.Expect(s.db.NewRaw(`SELECT column_name, data_type, coalesce(character_maximum_length, 0) AS length, is_nullable = 'NO' AS required FROM information_schema.columns WHERE table_name = ?`, name).
			Scan(t.Context(), &there)).To(Succeed())
		known := map[string]column{}
		for _, c := range table.columns {
			known[c.name] = c
		}
		for _, c := range there {
			ours, ok := known[c.ColumnName]
			if !ok {
				continue // the database's own
			}
			delete(known, c.ColumnName)
			where := name + "." + c.ColumnName
			g.Expect(ours.limit).To(Equal(c.Length), where)
			g.Expect(ours.required || c.ColumnName == "id").To(Equal(c.Required), where)
			g.Expect(strings.TrimPrefix(ours.cast, "::")).To(Equal(map[string]string{"jsonb": "jsonb"}[c.DataType]), where)
			if bits, integer := map[string]int{"smallint": 16, "integer": 32, "bigint": 64}[c.DataType]; integer {
				g.Expect(ours.bits).To(Equal(bits), where)
			}
		}
		g.Expect(known).To(BeEmpty(), name)
	}
}

func TestOnlyJSONThatTheColumnRefusesIsRefused(t *testing.T) {
	s := open(t, database(t))
	for _, text := range []string{
		`{}`, `{"a":"\\u0000"}`, `{"a":"\\\\u0000"}`, `{"a":"u0000"}`, `{"\\u0000":1}`, `{"a":"\\\"\\u0000\\"}`, `{"a":1.7976931348623157e+308,"b":5e-324}`,
		`{"a":"\u0000"}`, `{"a":"\\\u0000"}`, `{"\u0000":1}`, `{"a":"\\u0000\u0000"}`,
	} {
		t.Run(fmt.Sprintf("%.30s", text), func(t *testing.T) {
			g := NewWithT(t)
			var whole string
			err := s.db.NewRaw("SELECT (?::jsonb)::text", text).Scan(t.Context(), &whole)
			ours := checkJSON(text)
			g.Expect(sqlState(ours)).To(Equal(sqlState(err)), "%v, and the database: %v", ours, err)
		})
	}
}
