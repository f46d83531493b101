package storageapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-dev/holdfast/relay"

	"github.com/google/uuid"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

func TestARecordBecomesARow(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	answer := s.post(notifications, note(`"subject":"cart \u0000 \ud800 <&>"`), "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	g.Expect(answer.status).To(Equal(http.StatusCreated), answer.body)
	receipt := answer.receipts(t)[0]
	g.Expect(receipt).To(Equal(Receipt{ID: receipt.ID, Status: "stored", Repaired: 2}))
	g.Expect(uuid.MustParse(receipt.ID).Version()).To(BeEquivalentTo(7))
	var row, entry string
	g.Expect(s.store.DB().QueryRowContext(t.Context(), `SELECT concat_ws('|', event, phase, final, recorded_by, schema_version, traceparent, subject, source_uid, sequence, entry_hash, recorded_at > now() - interval '1 minute'), entry
		FROM notification_audit WHERE id = ?`, receipt.ID).Scan(&row, &entry)).To(Succeed())
	g.Expect(row).To(Equal("Posted||f|system:serviceaccount:shop:poster|1|00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01|cart \uFFFD \uFFFD <&>|t"))
	g.Expect(entry).To(Equal(`{"notification_requested_at":"2026-11-23T04:05:06Z","remediation_id":"r","subject":"cart ` + "\uFFFD \uFFFD" + ` <&>"}`))
	s.verified()
}

// config/storage/samples posts it from a Job, which may run again.
func TestTheSampleIsTaken(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	sample, err := os.ReadFile("../../config/storage/samples/execution.json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(s.post("/api/v1/audit/executions", string(sample)).status).To(Equal(http.StatusCreated))
	g.Expect(s.post("/api/v1/audit/executions", string(sample)).status).To(Equal(http.StatusOK))
}

func TestTheSameIdIsOneRow(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id := uuid.NewString()
	one := note(`"id":"` + id + `"`)
	g.Expect(s.post(notifications, one).status).To(Equal(http.StatusCreated))
	again := s.post(notifications, `  { "notification_requested_at" : "2026-11-23T04:05:06Z", "id":"`+id+`", "remediation_id":"r"}`, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	g.Expect(again.status).To(Equal(http.StatusOK), again.body)
	g.Expect(again.receipts(t)).To(Equal([]Receipt{{ID: id, Status: "present"}}))
	g.Expect(s.do(http.MethodPost, notifications, "poster2", strings.NewReader(one)).status).To(Equal(http.StatusOK), "whoever posts it")

	other := s.post(notifications, note(`"id":"`+id+`"`, `"subject":"other"`))
	g.Expect(other.status).To(Equal(http.StatusConflict))
	g.Expect(other.problem(t).Errors).To(Equal([]Fault{{Pointer: "/id", Detail: "a different record has this id"}}))

	fresh := note(`"id":"` + uuid.NewString() + `"`)
	some := s.post(notifications, "["+one+","+fresh+"]")
	g.Expect(some.status).To(Equal(http.StatusCreated))
	g.Expect(some.receipts(t)).To(HaveExactElements(HaveField("Status", "present"), HaveField("Status", "stored")))
	all := s.post(notifications, "["+one+","+fresh+"]")
	g.Expect(all.status).To(Equal(http.StatusOK))
	g.Expect(all.receipts(t)).To(HaveEach(HaveField("Status", "present")))
	none := s.post(notifications, "["+note()+","+note(`"id":"`+id+`"`, `"subject":"other"`)+"]")
	g.Expect(none.status).To(Equal(http.StatusConflict))
	g.Expect(none.problem(t).pointers()).To(Equal([]string{"/1/id"}))
	g.Expect(s.count("notification_audit")).To(Equal(2), "all or nothing")
	s.verified()
}

func TestTheSameUUIDInAnotherCaseIsTheSame(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	id, remediation := uuid.NewString(), uuid.NewString()
	body := func(id, remediation string) string {
		return `{"id":"` + id + `","remediation_id":"` + remediation + `","notification_requested_at":"2026-11-23T04:05:06Z","subject":"\u2028 <&> 1e3"}`
	}
	upper := s.post(notifications, body(strings.ToUpper(id), strings.ToUpper(remediation)))
	g.Expect(upper.status).To(Equal(http.StatusCreated), upper.body)
	g.Expect(upper.receipts(t)).To(Equal([]Receipt{{ID: id, Status: "stored"}}))
	for _, again := range []string{body(id, remediation), body(strings.ToUpper(id), remediation), body(id, strings.ToUpper(remediation))} {
		answer := s.post(notifications, again)
		g.Expect(answer.status).To(Equal(http.StatusOK), answer.body)
		g.Expect(answer.receipts(t)).To(Equal([]Receipt{{ID: id, Status: "present"}}))
	}
	var row string
	g.Expect(s.store.DB().QueryRowContext(t.Context(), `SELECT concat_ws('|', remediation_id, entry) FROM notification_audit WHERE id = ?`, id).Scan(&row)).To(Succeed())
	g.Expect(row).To(Equal(remediation + `|{"id":"` + id + `","notification_requested_at":"2026-11-23T04:05:06Z","remediation_id":"` + remediation + `","subject":"` + "\u2028" + ` <&> 1e3"}`))

	claim := func(uid string) string {
		return note(`"id":"`+uuid.NewMD5(uuid.Nil, []byte("claim")).String()+`"`, `"source_uid":"`+uid+`"`)
	}
	g.Expect(s.do(http.MethodPost, notifications, "relayer", strings.NewReader(claim(strings.ToUpper(id)))).status).To(Equal(http.StatusCreated))
	g.Expect(s.do(http.MethodPost, notifications, "relayer", strings.NewReader(claim(id))).status).To(Equal(http.StatusOK))

	for _, form := range []string{"{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", "")} {
		for pointer, wrong := range map[string]string{"/id": body(form, remediation), "/remediation_id": body(uuid.NewString(), form)} {
			refused := s.post(notifications, wrong)
			g.Expect(refused.status).To(Equal(http.StatusUnprocessableEntity), wrong)
			g.Expect(refused.problem(t).Errors).To(ConsistOf(And(HaveField("Pointer", pointer), HaveField("Detail", ContainSubstring("as in 019ab3c4-5d6e-7f80-9a1b-2c3d4e5f6a7b")))))
		}
	}
	s.verified()
}

func TestEveryInvalidFieldIsNamedAtOnce(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	one := s.post(orchestration, `{"remediation_id":"","signal_fingerprint":7,"signal_received_at":"yesterday","total_duration_seconds":1.5,"services_invoked":["a",1],
		"signal_context":{"name":"n","labels":{"a/b~c":null},"colour":"red"},"service_transitions":[{"from":"a"}],"outcome":"`+strings.Repeat("ä", 51)+`","outcome":"x",
		"bottleneck_duration_seconds":2147483648,"Event":"Posted","event":"posted","recorded_by":"root","target":[],"final":"yes","id":"1","traceparent":"00-x","schema_version":2}`)
	g.Expect(one.status).To(Equal(http.StatusUnprocessableEntity), one.body)
	p := one.problem(t)
	g.Expect(p.pointers()).To(ConsistOf("/remediation_id", "/signal_fingerprint", "/signal_received_at", "/total_duration_seconds", "/services_invoked/1", "/signal_context/labels/a~1b~0c",
		"/signal_context/colour", "/service_transitions/0/to", "/outcome", "/outcome", "/bottleneck_duration_seconds", "/Event", "/event", "/recorded_by", "/target", "/final", "/id", "/traceparent",
		"/schema_version", "/remediation_created_at"))
	for _, f := range p.Errors {
		g.Expect(f.Detail).NotTo(BeEmpty())
	}
	g.Expect(p.Errors).To(ContainElements(
		Fault{Pointer: "/remediation_created_at", Detail: "is missing, expected a time in RFC 3339, as in 2026-11-23T04:05:06.123456Z"},
		Fault{Pointer: "/signal_fingerprint", Detail: "is 7, expected a string of 1 to 255 characters"},
		Fault{Pointer: "/outcome", Detail: "has 51 characters, expected a string of at most 50 characters"},
		Fault{Pointer: "/outcome", Detail: "is given twice, expected once"}))

	several := s.post(notifications, "["+note()+",7,"+note(`"subjects":"x"`)+",{}]")
	g.Expect(several.problem(t).pointers()).To(Equal([]string{"/1", "/2/subjects", "/3/remediation_id", "/3/notification_requested_at"}))

	many := s.post(notifications, "{"+strings.Repeat(`"x":1,`, 3000)+`"x":1}`).problem(t)
	g.Expect(many.Errors).To(HaveLen(maxFaults))
	g.Expect(many.More).To(Equal(3003 - maxFaults))
	g.Expect(s.count("notification_audit")).To(BeZero())
}

func TestWhatCannotBeOneOrMoreRecords(t *testing.T) {
	s := start(t)
	for body, want := range map[string]int{
		"": 400, "{": 400, `{"a":1}{"b":2}`: 400, "\xef\xbb\xbf{}": 400, "nul": 400, "[]": 422, "7": 422, "null": 422, `"text"`: 422, "[[]]": 422,
		"[" + strings.Repeat(note()+",", 500) + note() + "]": 422,
	} {
		answer := s.post(notifications, body)
		g := NewWithT(t)
		g.Expect(answer.status).To(Equal(want), "%.50s: %s", body, answer.body)
		g.Expect(answer.problem(t).Detail).NotTo(BeEmpty())
	}
	full := s.post(notifications, "["+strings.Repeat(note()+",", 499)+note()+"]")
	NewWithT(t).Expect(full.status).To(Equal(http.StatusCreated))
	NewWithT(t).Expect(s.count("notification_audit")).To(Equal(500))
}

func TestCallers(t *testing.T) {
	s := start(t)
	for token, want := range map[string]int{"": 401, "nobody": 401, "stranger": 403, "outage": 503, "poster": 201} {
		g := NewWithT(t)
		answer := s.do(http.MethodPost, notifications, token, strings.NewReader(note()))
		g.Expect(answer.status).To(Equal(want), token)
		g.Expect(answer.body).NotTo(ContainSubstring("10.0.0.1"), "what is the operator's is in the log")
		challenge, later := BeEmpty(), BeEmpty()
		if want == 401 {
			challenge = Equal("Bearer")
		}
		if want == 503 {
			later = Equal("5")
		}
		g.Expect(answer.header.Get("WWW-Authenticate")).To(challenge)
		g.Expect(answer.header.Get("Retry-After")).To(later)
	}
}

// appended is an outbox entry, and the body that relays it.
func appended(t *testing.T, record any, change func(map[string]any)) (relay.Item, string) {
	t.Helper()
	g := NewWithT(t)
	source := entry.Source{Namespace: "shop", Name: "cart", UID: types.UID(uuid.NewString()), Created: time.Now()}
	o, _, err := entry.Append(nil, source, entry.Change{Kind: entry.KindNotification, Event: "Changed", Phase: "Sending", Record: record}, time.Now(), entry.Salt{}, entry.DefaultLimits())
	g.Expect(err).NotTo(HaveOccurred())
	e := relay.NewItems(source, "NotificationRequest", entry.PendingOf(source.UID, o))[0]
	body := map[string]any{}
	g.Expect(json.Unmarshal(e.Entry.Record, &body)).To(Succeed())
	maps.Copy(body, map[string]any{"id": e.ID, "source_cluster": "east", "source_uid": source.UID, "sequence": e.Sequence, "entry_hash": e.Hash, "entry": string(e.Text)})
	if change != nil {
		change(body)
	}
	raw, err := json.Marshal(body)
	g.Expect(err).NotTo(HaveOccurred())
	return e, string(raw)
}

func TestARelayedEntryBecomesItsRow(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	relayed := func(body string) reply {
		return s.do(http.MethodPost, notifications, "relayer", strings.NewReader(body))
	}
	record := map[string]any{"remediation_id": "r", "notification_requested_at": "2026-11-23T04:05:06.000001Z", "channels": []string{"slack"}, "of_a_later_release": true}
	e, body := appended(t, record, func(b map[string]any) { delete(b, "of_a_later_release") })
	g.Expect(relayed(body).receipts(t)).To(Equal([]Receipt{{ID: e.ID, Status: "stored"}}))
	g.Expect(relayed(body).status).To(Equal(http.StatusOK))
	g.Expect(s.count(fmt.Sprintf(`notification_audit WHERE id = '%s' AND sequence = 1 AND entry_hash = '\x%s' AND source_cluster = 'east' AND source_name = 'cart' AND phase = 'Sending'
		AND recorded_by IS NULL`, e.ID, e.Hash))).To(Equal(1))

	for pointer, change := range map[string]func(map[string]any){
		"/entry_hash":     func(b map[string]any) { b["entry_hash"] = strings.Repeat("0", 64) },
		"/channels":       func(b map[string]any) { b["channels"] = []string{"console"} },
		"/remediation_id": func(b map[string]any) { b["remediation_id"] = "another" },
		"/sequence":       func(b map[string]any) { b["sequence"] = 2 },
		"/previous_hash":  func(b map[string]any) { b["previous_hash"] = strings.Repeat("0", 64) },
		"/phase":          func(b map[string]any) { b["phase"] = "Sent" },
		"/source_uid":     func(b map[string]any) { delete(b, "source_uid") },
		"/id":             func(b map[string]any) { b["id"] = uuid.NewString() },
		"/entry": func(b map[string]any) {
			b["entry"] = " " + b["entry"].(string)
			b["entry_hash"] = entry.Hash([]byte(b["entry"].(string)))
		},
		"/final":       func(b map[string]any) { b["final"] = true },
		"/source_name": func(b map[string]any) { b["source_name"] = "other" },
		"/recorded_at": func(b map[string]any) { b["recorded_at"] = "2026-11-23T04:05:06Z" },
		"/delivery_attempts": func(b map[string]any) {
			b["delivery_attempts"] = []models.DeliveryAttempt{{Channel: "slack", Status: "success"}}
		},
	} {
		_, bad := appended(t, map[string]any{"remediation_id": "r", "notification_requested_at": "2026-11-23T04:05:06.000001Z", "channels": []string{"slack"}}, change)
		answer := relayed(bad)
		g.Expect(answer.status).To(Equal(http.StatusUnprocessableEntity), pointer)
		g.Expect(answer.problem(t).pointers()).To(Equal([]string{pointer}))
	}
	_, elsewhere := appended(t, record, nil)
	g.Expect(s.do(http.MethodPost, orchestration, "relayer", strings.NewReader(elsewhere)).status).To(Equal(http.StatusUnprocessableEntity))
	s.verified()
}

func TestClaimsTakeTheRightToRelay(t *testing.T) {
	g := NewWithT(t)
	s := start(t)
	_, body := appended(t, map[string]any{"remediation_id": "r", "notification_requested_at": "2026-11-23T04:05:06Z"}, nil)
	refused := s.post(notifications, "["+note()+","+body+"]")
	g.Expect(refused.status).To(Equal(http.StatusForbidden))
	g.Expect(refused.problem(t).pointers()).To(ConsistOf("/1/source_cluster", "/1/source_uid", "/1/sequence", "/1/entry_hash", "/1/entry"))
	g.Expect(s.post(notifications, note(`"target":{"entry":1}`)).status).To(Equal(http.StatusUnprocessableEntity), "no claim")

	origin := note(`"source_cluster":"east"`, `"source_namespace":"shop"`, `"source_name":"cart"`, `"source_uid":"4F8E0A52-6a3e-4be0-9f0e-3c1d8a4b2c11"`)
	g.Expect(s.post(notifications, origin).status).To(Equal(http.StatusForbidden))
	g.Expect(s.do(http.MethodPost, notifications, "relayer", strings.NewReader(origin)).status).To(Equal(http.StatusCreated), "an origin without a place in a chain")
	squatting := s.do(http.MethodPost, notifications, "relayer", strings.NewReader(note(`"id":"`+entry.ID("4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", time.Now(), 1)+`"`)))
	g.Expect(squatting.status).To(Equal(http.StatusUnprocessableEntity), "the id of an entry that is yet to come")
	g.Expect(squatting.problem(t).pointers()).To(Equal([]string{"/id"}))
	s.verified()
}
