package migrations

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// incompressible is a text of n characters of four bytes each, which PostgreSQL cannot make shorter: it compresses what repeats.
func incompressible(n int) string {
	var text strings.Builder
	for range n {
		text.WriteRune(rune(0x10000 + rand.IntN(0xfffff)))
	}
	return text.String()
}

// A row that an index cannot take is a row that is lost: each column gets the longest value that it takes, all of them at once.
func TestIndexesTakeTheLongestValues(t *testing.T) {
	db, _ := migrated(t)
	for _, table := range auditTables {
		for _, place := range []string{"1, false", "2, true", "NULL, false"} { // each partial index is met
			t.Run(table+" "+place, func(t *testing.T) {
				insertLongest(t, db, table, place)
			})
		}
	}
	t.Run("an alert and a target that are longer than their columns", func(t *testing.T) {
		g := NewWithT(t)
		context := `{"name": ` + quoted(incompressible(1000)) + `}`
		target := `{"kind": ` + quoted(incompressible(1000)) + `}`
		_, err := db.ExecContext(t.Context(), `INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, signal_context, target, event, phase, final, recorded_at, schema_version, entry)
			VALUES (gen_random_uuid(), 'long', 'f', now(), now(), $1, $2, 'Posted', '', false, now(), 1, '{}')`, context, target)
		g.Expect(err).NotTo(HaveOccurred())
		var alert, kind int
		g.Expect(db.QueryRowContext(t.Context(), "SELECT length(alert_name), length(target_kind) FROM orchestration_audit WHERE remediation_id = 'long'").Scan(&alert, &kind)).To(Succeed())
		g.Expect([]int{alert, kind}).To(Equal([]int{255, 63}))
	})
	for _, value := range []string{"null", "7", `"PodOOMKilled"`, `["name"]`, `{"name": null}`, `{"name": {"a": 1}}`, `{"name": 7}`} {
		t.Run("a context that is "+value, func(t *testing.T) {
			_, err := db.ExecContext(t.Context(), `INSERT INTO orchestration_audit (id, remediation_id, signal_fingerprint, signal_received_at, remediation_created_at, signal_context, target, event, phase, final, recorded_at, schema_version, entry)
				VALUES (gen_random_uuid(), 'r', 'f', now(), now(), $1, $1, 'Posted', '', false, now(), 1, '{}')`, value)
			NewWithT(t).Expect(err).NotTo(HaveOccurred(), "what has no name is no alert's, and a row all the same")
		})
	}
}

func insertLongest(t *testing.T, db *sql.DB, table, place string) {
	t.Helper()
	g := NewWithT(t)
	rows, err := db.QueryContext(t.Context(), `SELECT attname, format_type(atttypid, -1), greatest(atttypmod - 4, 0) FROM pg_attribute
		WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' AND attname NOT IN ('tx', 'created_at', 'sequence', 'final') ORDER BY attnum`, table)
	g.Expect(err).NotTo(HaveOccurred())
	names, values, arguments := []string{"sequence", "final"}, []string{place}, []any{}
	for rows.Next() {
		var name, typ string
		var length int
		g.Expect(rows.Scan(&name, &typ, &length)).To(Succeed())
		names = append(names, name)
		if typ == "character varying" {
			arguments = append(arguments, incompressible(length))
			values = append(values, "$"+strconv.Itoa(len(arguments)))
			continue
		}
		if name == "signal_context" || name == "target" {
			arguments = append(arguments, `{"name": `+quoted(incompressible(255))+`, "kind": `+quoted(incompressible(63))+`}`)
			values = append(values, "$"+strconv.Itoa(len(arguments)))
			continue
		}
		values = append(values, map[string]string{
			"uuid": "gen_random_uuid()", "timestamp with time zone": "clock_timestamp()", "jsonb": "'{}'", "integer": "2147483647", "bigint": "9007199254740991", "smallint": "1",
			"double precision": "99.5", "boolean": "true", "text": "'text'", "bytea": `sha256('\x00')`,
		}[typ])
		g.Expect(values).To(HaveEach(Not(BeEmpty())), typ)
	}
	g.Expect(rows.Err()).NotTo(HaveOccurred())
	_, err = db.ExecContext(t.Context(), fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, strings.Join(names, ", "), strings.Join(values, ", ")), arguments...)
	g.Expect(err).NotTo(HaveOccurred())
}

// quoted is a text as JSON.
func quoted(text string) string {
	raw, _ := json.Marshal(text) // a string always encodes
	return string(raw)
}
