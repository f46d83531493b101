package storageapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// posting is a body that was found to be good.
type posting struct {
	rows     []models.Row
	receipts []Receipt
	// single: it was an object, not an array.
	single bool
}

// Receipt is the answer for one record.
type Receipt = storageclient.Receipt

const (
	statusStored  = "stored"
	statusPresent = "present"
)

// arrival is what a request says beside its body.
type arrival struct {
	caller      Caller
	at          outboxapi.Time
	traceparent string
}

// fields are those around a record, as posted.
type fields struct {
	ID              string         `json:"id"`
	Event           string         `json:"event"`
	Phase           string         `json:"phase"`
	Final           *bool          `json:"final"`
	RecordedAt      outboxapi.Time `json:"recorded_at"`
	Traceparent     string         `json:"traceparent"`
	SchemaVersion   int64          `json:"schema_version"`
	SourceCluster   string         `json:"source_cluster"`
	SourceNamespace string         `json:"source_namespace"`
	SourceName      string         `json:"source_name"`
	SourceUID       string         `json:"source_uid"`
	Sequence        int64          `json:"sequence"`
	PreviousHash    string         `json:"previous_hash"`
	EntryHash       string         `json:"entry_hash"`
	Entry           string         `json:"entry"`
}

// read makes rows of a body, or says all that is wrong with it.
func (e *endpoint) read(body []byte, from arrival, records int) (*posting, *Problem) {
	texts, single, refused := split(body, records)
	if refused != nil {
		return nil, refused
	}
	c := &checker{}
	for i, text := range texts {
		if !single {
			c.path = []string{strconv.Itoa(i)}
		}
		c.record(text, e.schema)
	}
	if len(c.claims) > 0 && !from.caller.MayRelay {
		p := problem(http.StatusForbidden, "%s may not claim an origin; that requires the permission to relay auditrecords.holdfast.dev", from.caller.Name)
		for _, pointer := range c.claims {
			p.Errors = append(p.Errors, Fault{Pointer: pointer, Detail: "claims an origin"})
		}
		return nil, p
	}
	p := &posting{single: single}
	if len(c.faults) == 0 {
		for i, text := range texts {
			if !single {
				c.path = []string{strconv.Itoa(i)}
			}
			p.add(e, text, from, c)
		}
	}
	if len(c.faults) > 0 {
		refusal := problem(http.StatusUnprocessableEntity, "%d fields are invalid; nothing was stored", len(c.faults)+c.more)
		refusal.Errors, refusal.More = c.faults, c.more
		return nil, refusal
	}
	return p, nil
}

// split finds the records in a body: JSON text each.
func split(body []byte, records int) (texts []json.RawMessage, single bool, _ *Problem) {
	if !json.Valid(body) {
		err := json.Unmarshal(body, &json.RawMessage{})
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, false, problem(http.StatusBadRequest, "the body is not JSON: byte %d: %s", syntax.Offset, syntax.Error())
		}
		return nil, false, problem(http.StatusBadRequest, "the body is not JSON")
	}
	body = bytes.TrimLeft(body, " \t\r\n")
	whole := func(detail string) *Problem {
		p := problem(http.StatusUnprocessableEntity, "%s", "the body "+detail)
		p.Errors = []Fault{{Pointer: "", Detail: detail}}
		return p
	}
	switch body[0] {
	case '{':
		return []json.RawMessage{body}, true, nil
	case '[':
	default:
		return nil, false, whole("is neither an object (one record) nor an array of objects")
	}
	elements := json.NewDecoder(bytes.NewReader(body))
	_, _ = elements.Token()
	for elements.More() {
		if len(texts) == records {
			return nil, false, whole("has more than " + strconv.Itoa(records) + " records; send them in several requests")
		}
		var text json.RawMessage
		if err := elements.Decode(&text); err != nil {
			return nil, false, problem(http.StatusBadRequest, "the body is not JSON: %s", err)
		}
		texts = append(texts, text)
	}
	if len(texts) == 0 {
		return nil, false, whole("is an empty array, expected at least one record")
	}
	return texts, false, nil
}

// add makes the row of a record whose shape is good.
func (p *posting) add(e *endpoint, text []byte, from arrival, c *checker) {
	canonical, repaired, err := entry.CanonicalRecord(text)
	if err != nil { // two names that became one by the repair, for one
		c.fault("cannot be written as canonical JSON: %s", err)
		return
	}
	if canonical, err = lowerUUIDs(canonical); err != nil {
		c.faultAt("remediation_id", "is a UUID in a nonstandard form, %s", err)
		return
	}
	row, err := models.ProjectPosted(e.table, canonical)
	if err != nil {
		c.fault("does not fit: %s", err)
		return
	}
	var f fields
	if err := json.Unmarshal(canonical, &f); err != nil {
		c.fault("does not fit: %s", err)
		return
	}
	if f.relayed() {
		row = e.relayedRow(row, &f, c)
	} else {
		f.fill(row, from, canonical, c)
	}
	if row == nil {
		return
	}
	p.rows = append(p.rows, row)
	p.receipts = append(p.receipts, Receipt{ID: row.Head().ID, Status: statusStored, Repaired: repaired})
}

// lowerUUIDs writes the UUIDs of a record in lower case: the same record with an id in upper case is the same record. That id and source_uid are UUIDs was checked before. A
// record that comes with its entry says what the entry says.
func lowerUUIDs(canonical []byte) ([]byte, error) {
	var given struct {
		ID            string `json:"id"`
		SourceUID     string `json:"source_uid"`
		RemediationID string `json:"remediation_id"`
		Entry         string `json:"entry"`
	}
	if err := json.Unmarshal(canonical, &given); err != nil || given.Entry != "" {
		return canonical, nil //nolint:nilerr // what does not fit is told by whoever reads the record
	}
	remediation, err := models.RemediationID(given.RemediationID)
	if err != nil {
		return nil, err
	}
	lower := map[string]string{"id": strings.ToLower(given.ID), "source_uid": strings.ToLower(given.SourceUID), "remediation_id": remediation}
	if lower["id"] == given.ID && lower["source_uid"] == given.SourceUID && remediation == given.RemediationID {
		return canonical, nil
	}
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return nil, err
	}
	for name, text := range lower {
		if text != "" {
			members[name] = text
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	again, _, err := entry.CanonicalRecord(text)
	return again, err
}

// fill is the envelope of a record that has no place in a chain.
func (f *fields) fill(row models.Row, from arrival, canonical []byte, c *checker) {
	if id, err := uuid.Parse(f.ID); err == nil && id.Version() == 8 {
		c.faultAt("id", "is a UUID of version 8, which is reserved for outbox entries; use version 4 or 7")
	}
	head := models.Envelope{
		ID: f.ID, Event: f.Event, Phase: f.Phase, Final: f.Final != nil && *f.Final, RecordedAt: f.RecordedAt, Traceparent: f.Traceparent, SchemaVersion: entry.SchemaVersion,
		SourceCluster: f.SourceCluster, SourceNamespace: f.SourceNamespace, SourceName: f.SourceName, SourceUID: f.SourceUID, Entry: string(canonical),
		RecordedBy: recordedBy(from.caller),
	}
	if head.ID == "" {
		head.ID = uuid.Must(uuid.NewV7()).String()
	}
	if head.Event == "" {
		head.Event = "Posted"
	}
	if head.RecordedAt.IsZero() {
		head.RecordedAt = from.at
	}
	if head.Traceparent == "" {
		head.Traceparent = from.traceparent
	}
	*row.Head() = head
}

// recordedBy is the caller's name as the column can hold it.
func recordedBy(c Caller) string {
	clean := bytes.ReplaceAll(bytes.ToValidUTF8([]byte(c.Name), []byte("\uFFFD")), []byte{0}, []byte("\uFFFD"))
	return outbox.Bound(string(clean), 255)
}
