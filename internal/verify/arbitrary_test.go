package verify

import (
	"context"
	"fmt"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/models"
)

// literals are values of each type that a column can have, the odd ones first. A writer may put any of them into any column, and nobody may take them out again.
var literals = map[string][]string{
	"uuid":                     {"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'", "'00000001-0000-4000-8000-000000000001'", "gen_random_uuid()"},
	"bigint":                   {"-1", "0", "1", "2", "9223372036854775807", "-9223372036854775808"},
	"integer":                  {"-1", "0", "2147483647", "-2147483648"},
	"smallint":                 {"-1", "0", "1", "2", "32767", "-32768"},
	"xid8":                     {"'0'", "'3'", "'18446744073709551615'"},
	"double precision":         {"'NaN'", "'Infinity'", "'-Infinity'", "1e308", "5e-324", "0.1"},
	"boolean":                  {"true", "false"},
	"bytea":                    {`''`, `'\x00'`, `sha256('')`, `'\xffff'`},
	"jsonb":                    {"'null'", "'1'", "'\"x\"'", "'[]'", "'{}'", `'["WorkflowExecution", 1, null, {}]'`, `'{"a": {"b": [1e400]}}'`, `'["AIAnalysis", "AIAnalysis"]'`},
	"text":                     {"''", "'x'", "'{}'", "'null'", `'{"source":{"uid":"00000001-0000-4000-8000-000000000001"},"sequence":-1,"kind":"orchestration"}'`, "repeat('[', 10000)", "E'\\u0001\\uFFFD'"},
	"character varying":        {"''", "'x'", "'remediated'", "'approved'", "repeat('ü', 50)"},
	"timestamp with time zone": {"'infinity'", "'-infinity'", "'4713-01-01 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'0001-01-01 00:00:00+00 BC'", "now()"},
}

type column struct {
	Name     string `bun:"column_name"`
	Type     string `bun:"data_type"`
	Nullable bool   `bun:"nullable"`
}

// Whatever rows a writer, or a superuser, puts into the tables: verify ends, and none of them passes for a part of a whole trail.
func TestArbitraryRows(t *testing.T) {
	g := NewWithT(t)
	db, _ := newStore(t, "")
	persist(t, db, history(t, source(1), "backups.example.com", 3, true))
	columns := map[string][]column{}
	tables := append(models.Tables(), models.TableDeadLetter)
	for _, table := range tables {
		var all []column
		g.Expect(db.DB().NewRaw("SELECT column_name, data_type, is_nullable = 'YES' AS nullable FROM information_schema.columns WHERE table_name = ? AND table_schema = 'public' AND is_generated = 'NEVER' ORDER BY 1", table).
			Scan(t.Context(), &all)).To(Succeed())
		g.Expect(all).NotTo(BeEmpty())
		columns[table] = all
	}
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		table := rapid.SampledFrom(tables).Draw(t, "table")
		var names, values []string
		for _, c := range columns[table] {
			choice := literals[c.Type]
			g.Expect(choice).NotTo(BeEmpty(), c.Type)
			if c.Nullable && rapid.IntRange(0, 2).Draw(t, c.Name+" is null") == 0 {
				continue
			}
			names, values = append(names, c.Name), append(values, rapid.SampledFrom(choice).Draw(t, c.Name))
		}
		result, err := db.DB().ExecContext(context.Background(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT DO NOTHING", table, strings.Join(names, ", "), strings.Join(values, ", ")))
		if err != nil {
			g.Expect(err).To(MatchError(Or(ContainSubstring("violates check constraint"), ContainSubstring("out of range"), ContainSubstring("invalid input"))), "the database refuses it, which is as good")
			return
		}
		if inserted, err := result.RowsAffected(); inserted == 0 {
			g.Expect(err).NotTo(HaveOccurred())
			return // the row has the key of one that is there, which stays as it is
		}
		var found []Finding
		report, err := Run(context.Background(), db, nil, Options{}, func(f Finding) { found = append(found, f) })
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(report.Findings).To(Equal(len(found)))
		if table != models.TableDeadLetter { // dead letters are for what is wrong
			g.Expect(found).NotTo(BeEmpty())
		}
	})
}
