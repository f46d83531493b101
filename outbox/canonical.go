package outbox

import (
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"
)

// ID is the id of the entry at a sequence of a resource: a UUIDv8 (RFC 9562, section 5.8) whose first 48 bits are the resource's creation time
// in milliseconds, so that rows of one time lie together in an index, and whose other bits are the first of SHA-256(uid + "/" + decimal sequence).
func ID(uid types.UID, created time.Time, sequence int64) string {
	var id uuid.UUID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(created.UnixMilli()))
	copy(id[:6], ms[2:])
	sum := sha256.Sum256([]byte(string(uid) + "/" + strconv.FormatInt(sequence, 10)))
	copy(id[6:], sum[:10])
	id[6] = id[6]&0x0f | 0x80 // version 8
	id[8] = id[8]&0x3f | 0x80 // variant of RFC 9562
	return id.String()
}

// hashed is what an entry's hash covers: the entry without its hash, and where it comes from.
type hashed struct {
	outboxapi.Entry
	Hash   *struct{}    `json:"hash,omitempty"` // hides Entry.Hash
	Source hashedSource `json:"source"`
}

type hashedSource struct {
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	UID       types.UID `json:"uid"`
}

// Canonical is the text that an entry's hash is made of: RFC 8785 JSON of the entry without `hash`, with
// `source: {namespace, name, uid}` added. It is what a store keeps.
func Canonical(s Source, e *outboxapi.Entry) ([]byte, error) {
	if !plainEnvelope(s, e) || !json.Valid(e.Record.Raw) {
		return canonicalWhole(s, e)
	}
	record := jsontext.Value(bytes.Clone(e.Record.Raw))
	if err := record.Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical JSON of entry %d: %w", e.Sequence, err)
	}
	return envelop(s, e, record), nil
}

// Check compares an entry with its hash: text is what the hash should be made of, and agrees is true if it is. A record that reads the same as when it was appended need not
// be put into canonical form again: the hash proves that it is. An API server that writes members in another order, or escapes them, costs the whole way of Canonical.
func Check(s Source, e *outboxapi.Entry) (text []byte, agrees bool, _ error) {
	if plainEnvelope(s, e) && json.Valid(e.Record.Raw) {
		if text = envelop(s, e, e.Record.Raw); Hash(text) == e.Hash {
			return text, true, nil
		}
	}
	text, err := Canonical(s, e)
	return text, err == nil && Hash(text) == e.Hash, err
}

// canonicalAround is Canonical of an entry whose record is in canonical form already.
func canonicalAround(s Source, e *outboxapi.Entry) ([]byte, error) {
	if !plainEnvelope(s, e) {
		return canonicalWhole(s, e)
	}
	return envelop(s, e, e.Record.Raw), nil
}

// canonicalWhole takes any entry. Reading the envelope again costs as much as the record does.
func canonicalWhole(s Source, e *outboxapi.Entry) ([]byte, error) {
	raw, err := json.Marshal(hashed{Entry: *e, Source: hashedSource{Namespace: s.Namespace, Name: s.Name, UID: s.UID}})
	if err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", e.Sequence, err)
	}
	if err := (*jsontext.Value)(&raw).Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical JSON of entry %d: %w", e.Sequence, err)
	}
	return raw, nil
}

// plainEnvelope reports whether the envelope's values are written the same in Go, in JSON and in RFC 8785: texts of printable ASCII without quotes and
// backslashes, integers that a double holds. Those of real entries are, but for a phase that a controller names in another script.
func plainEnvelope(s Source, e *outboxapi.Entry) bool {
	for _, text := range [...]string{e.ID, e.Kind, e.Event, e.Phase, e.Traceparent, e.PreviousHash, s.Namespace, s.Name, string(s.UID)} {
		for i := range len(text) {
			if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				return false
			}
		}
	}
	year := e.RecordedTime.UTC().Year()
	return len(e.Record.Raw) > 0 && e.Record.Raw[0] == '{' && !e.RecordedTime.IsZero() && year >= 0 && year <= 9999 && e.Sequence > -1<<53 && e.Sequence < 1<<53
}

// envelop writes the members in the order of RFC 8785, that of their names.
func envelop(s Source, e *outboxapi.Entry, record []byte) []byte {
	text := make([]byte, 0, envelopeBytes+len(record)+len(e.Kind)+len(e.Event)+len(e.Phase)+len(e.Traceparent)+len(s.Namespace)+len(s.Name))
	member := func(name, value string) {
		text = append(text, name...)
		text = append(text, '"')
		text = append(text, value...)
		text = append(text, '"')
	}
	member(`{"event":`, e.Event)
	text = append(text, `,"final":`...)
	text = strconv.AppendBool(text, e.Final)
	member(`,"id":`, e.ID)
	member(`,"kind":`, e.Kind)
	member(`,"phase":`, e.Phase)
	member(`,"previousHash":`, e.PreviousHash)
	text = append(text, `,"record":`...)
	text = append(text, record...)
	member(`,"recordedTime":`, e.RecordedTime.String())
	text = append(text, `,"schemaVersion":`...)
	text = strconv.AppendInt(text, int64(e.SchemaVersion), 10)
	text = append(text, `,"sequence":`...)
	text = strconv.AppendInt(text, e.Sequence, 10)
	member(`,"source":{"name":`, s.Name)
	if s.Namespace != "" {
		member(`,"namespace":`, s.Namespace)
	}
	member(`,"uid":`, string(s.UID))
	text = append(text, '}')
	if e.Traceparent != "" {
		member(`,"traceparent":`, e.Traceparent)
	}
	return append(text, '}')
}

// Hash is SHA-256 of a canonical text in 64 lowercase hex digits.
func Hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// Decode reads a canonical text back. The entry's Hash is computed from the text; Source.Created is not part of it.
func Decode(canonical []byte) (Source, outboxapi.Entry, error) {
	var h hashed
	if err := json.Unmarshal(canonical, &h); err != nil {
		return Source{}, outboxapi.Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	e := h.Entry
	e.Hash = Hash(canonical)
	return Source{Namespace: h.Source.Namespace, Name: h.Source.Name, UID: h.Source.UID}, e, nil
}
