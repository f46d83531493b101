package postgres

import (
	"crypto/sha256"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// hostile are texts that break something somewhere: bun's literals and placeholders, JSON escapes, PostgreSQL's text, UTF-8.
var hostile = []string{
	"", "\x00", "a\x00b", `\u0000`, `\\u0000`, `\\\u0000`, `\`, `\\`, `"`, `'`, `''`, `'; DROP TABLE notification_audit; --`, `?`, `??`, `?0`, `?TableName`, `?TableAlias`, `$1`, `$$`,
	"\xff\xfe", "\xed\xa0\x80", "\xc0\x80", "\uFFFD", "\u2028", "\U0001F680", "e\u0301", "\u202e", "\r\n\t\b\f\v", "\x1b[31m", "<&>", "NULL", "{}", `{"a":1}`, "E'x'", "0x00", " ", "  trailing  ",
	`\ud800`, `\udfff`, `\ud83d\ude80`, "{NULL,\"a\"}", "\\x00", "--", "/* */", "%s%n",
}

func texts() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.SampledFrom(hostile), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
	return rapid.Map(rapid.SliceOfN(piece, 0, 4), func(p []string) string { return strings.Join(p, "") })
}

// any record: every optional field there or not, every text hostile.
func draw(t *rapid.T, v reflect.Value, short bool) {
	switch {
	case v.Type() == reflect.TypeFor[outboxapi.Time]():
		v.Set(reflect.ValueOf(outboxapi.NewTime(start.Add(time.Duration(rapid.Int64Range(-1<<60, 1<<60).Draw(t, "time"))))))
	case v.Kind() == reflect.Pointer:
		if rapid.Bool().Draw(t, "given") {
			v.Set(reflect.New(v.Type().Elem()))
			draw(t, v.Elem(), short)
		}
	case v.Kind() == reflect.Slice:
		n := rapid.IntRange(0, 2).Draw(t, "n")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			draw(t, v.Index(i), false)
		}
	case v.Kind() == reflect.Map:
		for _, key := range rapid.SliceOfNDistinct(texts(), 0, 2, rapid.ID[string]).Draw(t, "keys") {
			if v.IsNil() {
				v.Set(reflect.MakeMap(v.Type()))
			}
			value := reflect.New(v.Type().Elem()).Elem()
			draw(t, value, false)
			v.SetMapIndex(reflect.ValueOf(key), value)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			draw(t, v.Field(i), strings.Contains(v.Type().Field(i).Tag.Get("bun"), "varchar"))
		}
	case v.Kind() == reflect.String:
		text := texts().Draw(t, "text")
		if short { // a VARCHAR: what does not fit is another test's
			text = strings.TrimRight(string([]rune(text)[:min(50, len([]rune(text)))]), " ")
		}
		v.SetString(text)
	case v.CanInt():
		v.SetInt(int64(rapid.Int32().Draw(t, "int")))
	case v.CanFloat():
		v.SetFloat(rapid.Float64().Draw(t, "float"))
	case v.Kind() == reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	}
}

// Any record survives Append → JSON, as in etcd → row → read unchanged, with the same hash.
func TestAnyRecordSurvives(t *testing.T) {
	s := open(t, database(t))
	for kind, record := range map[string]any{
		entry.KindOrchestration: models.Orchestration{},
		entry.KindAIDecision:    models.AIDecision{},
		entry.KindExecution:     models.Execution{},
		entry.KindNotification:  models.Notification{},
	} {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				v := reflect.New(reflect.TypeOf(record)).Elem()
				draw(rt, v, false)
				survives(t, rt, s, kind, v.Interface())
			})
		})
	}
	t.Run("resource", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			record := map[string]any{"texts": rapid.SliceOfN(texts(), 1, 5).Draw(rt, "texts"), texts().Draw(rt, "name"): rapid.Float64().Draw(rt, "float")}
			survives(t, rt, s, "backups.example.com", record)
		})
	})
}

func survives(t *testing.T, rt *rapid.T, s *Store, kind string, record any) {
	g := NewWithT(rt)
	source := newSource()
	batch := history(rt, source, kind, 1, func(int) any { return record })
	item := &batch[0]
	outcomes, err := s.Persist(t.Context(), batch)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(outcomes).To(Equal([]relay.Outcome{{Result: relay.Stored}}))

	want, err := RowOf("test", &item.Entry, item.Text)
	g.Expect(err).NotTo(HaveOccurred())
	got := models.NewRow(kind)
	g.Expect(s.db.NewSelect().Model(got).Where("id = ?", item.ID).Scan(t.Context())).To(Succeed())
	g.Expect(got.Head().CreatedAt.IsZero()).To(BeFalse())
	got.Head().CreatedAt = outboxapi.Time{}

	sum := sha256.Sum256([]byte(got.Head().Entry))
	g.Expect(got.Head().EntryHash).To(Equal(sum[:]))
	g.Expect(entry.Hash([]byte(got.Head().Entry))).To(Equal(item.Hash))
	g.Expect(got.Head().Entry).To(Equal(string(item.Text)))
	if r, ok := got.(*models.ResourceRow); ok { // jsonb has its own order and spaces
		g.Expect(r.Record).To(MatchJSON(want.(*models.ResourceRow).Record))
		r.Record = want.(*models.ResourceRow).Record
	}
	g.Expect(asJSON(g, got)).To(MatchJSON(asJSON(g, want)))
}

func asJSON(g *WithT, v any) string {
	raw, err := json.Marshal(v)
	g.Expect(err).NotTo(HaveOccurred())
	return string(raw)
}

func TestProseOf60KiBSurvives(t *testing.T) {
	g := NewWithT(t)
	s := open(t, database(t))
	prose := strings.Repeat(`It said: "C:\u0000 isn't \\u0000", ?0 and 🚀. `, 60<<10/58)
	batch := history(t, newSource(), entry.KindAIDecision, 1, func(int) any {
		return models.AIDecision{RemediationID: "r", InvestigationStartedAt: outboxapi.NewTime(start), RootCause: prose,
			AlternativesConsidered: []models.Alternative{{Action: `\u0000`, RejectedReason: `\\u0000`}}}
	})
	g.Expect(results(persist(t, s, batch))).To(Equal(repeat(relay.Stored, 1)))
	var row models.AIDecisionRow
	g.Expect(s.db.NewSelect().Model(&row).Scan(t.Context())).To(Succeed())
	g.Expect(row.RootCause).To(Equal(prose))
	g.Expect(row.AlternativesConsidered).To(Equal([]models.Alternative{{Action: `\u0000`, RejectedReason: `\\u0000`}}))
	g.Expect(entry.Hash([]byte(row.Entry))).To(Equal(batch[0].Hash))
}
