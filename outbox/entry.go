package outbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Entry is what the text of an entry says. docs/entry.md specifies the text.
type Entry struct {
	// ID is fixed by the resource's uid and the sequence (see ID).
	ID string
	// Sequence is the position in the resource's history, from 1.
	Sequence int64
	// Kind of the record: orchestration, ai-decision, execution, notification, or a kind of yours with its group (backups.example.com).
	Kind string
	// Event is what changed, in CamelCase; Phase is the resource's after it.
	Event, Phase string
	// RecordedTime is when it changed.
	RecordedTime outboxapi.Time
	// SchemaVersion of the record.
	SchemaVersion int64
	// Final is true on the entry that closes the record.
	Final bool
	// Traceparent is the W3C trace context in which the change was made; empty for none.
	Traceparent string
	// Source is the resource. Its creation time is not in the text.
	Source Source
	// Salt is 128 random bits in base64url: what an erased text said cannot be guessed from its hash.
	Salt string
	// Record is the audit record, complete as of this moment: a JSON object.
	Record json.RawMessage
	// PreviousHash is the hash of the entry before, 64 lowercase hex digits; empty on the first.
	PreviousHash string
}

// Salt is what makes a text unguessable.
type Salt [16]byte

func (s Salt) String() string { return base64.RawURLEncoding.EncodeToString(s[:]) }

func validSalt(s string) bool {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == len(Salt{})
}

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

// Hash is SHA-256 of a text in 64 lowercase hex digits.
func Hash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Encode writes the text of an entry whose record is in canonical form already: RFC 8785 JSON.
func (e *Entry) Encode() ([]byte, error) {
	text := e.envelop()
	if e.plain() {
		return text, nil
	}
	if err := (*jsontext.Value)(&text).Canonicalize(); err != nil {
		return nil, fmt.Errorf("canonical JSON of entry %d: %w", e.Sequence, err)
	}
	return text, nil
}

// plain reports whether the envelope's values are written the same in Go, in JSON and in RFC 8785: printable ASCII without quotes and backslashes. Those of real entries
// are, but for a phase that a controller names in another script.
func (e *Entry) plain() bool {
	for _, text := range e.texts() {
		for i := range len(text) {
			if c := text[i]; c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
				return false
			}
		}
	}
	return true
}

func (e *Entry) texts() [10]string {
	return [...]string{e.ID, e.Kind, e.Event, e.Phase, e.Traceparent, e.PreviousHash, e.Salt, e.Source.Namespace, e.Source.Name, string(e.Source.UID)}
}

// envelop writes the members in the order of RFC 8785, that of their names.
func (e *Entry) envelop() []byte {
	size := envelopeBytes + len(e.Record)
	for _, text := range e.texts() {
		size += len(text)
	}
	text := make([]byte, 0, size)
	member := func(name, value string) {
		text = append(text, name...)
		text, _ = jsontext.AppendQuote(text, value) // its error is about bytes that are not UTF-8, which become U+FFFD
	}
	member(`{"event":`, e.Event)
	text = append(text, `,"final":`...)
	text = strconv.AppendBool(text, e.Final)
	member(`,"id":`, e.ID)
	member(`,"kind":`, e.Kind)
	member(`,"phase":`, e.Phase)
	member(previousHashMember, e.PreviousHash)
	text = append(text, `,"record":`...)
	text = append(text, e.Record...)
	member(`,"recordedTime":`, e.RecordedTime.String())
	member(`,"salt":`, e.Salt)
	text = append(text, `,"schemaVersion":`...)
	text = strconv.AppendInt(text, e.SchemaVersion, 10)
	text = append(text, `,"sequence":`...)
	text = strconv.AppendInt(text, e.Sequence, 10)
	member(`,"source":{"name":`, e.Source.Name)
	if e.Source.Namespace != "" {
		member(`,"namespace":`, e.Source.Namespace)
	}
	member(`,"uid":`, string(e.Source.UID))
	text = append(text, '}')
	if e.Traceparent != "" {
		member(`,"traceparent":`, e.Traceparent)
	}
	return append(text, '}')
}

const previousHashMember = `,"previousHash":`

// envelopeBytes is the size of the members' names and punctuation, and of the values of fixed size.
const envelopeBytes = 260

// previousHash finds the member in a text without decoding it; "" if it is not there. Members are sorted and the record comes later, so the first occurrence is the envelope's: inside
// a string its quotes would be escaped. A text that is no entry gives a hash that agrees with nothing.
func previousHash(text string) string {
	const digits = 2 * sha256.Size
	// The members before it are short. No search over 64 KiB of something else.
	at := strings.Index(text[:min(len(text), 4<<10)], previousHashMember+`"`)
	if at < 0 {
		return ""
	}
	at += len(previousHashMember) + 1
	if len(text) < at+digits || !validHash(text[at:at+digits]) {
		return ""
	}
	return text[at : at+digits]
}

// ErrNoEntry says that a text is not an entry: it is no JSON, not in canonical form, or members are missing, unknown or of the wrong form.
var ErrNoEntry = errors.New("not an audit entry")

// Decode reads a text. What it cannot read it leaves empty, and says so: an error wraps ErrNoEntry and names the member. The text of another schema version may have members that this
// release does not know: it is read as far as it is known, and is no error.
func Decode(text []byte) (Entry, error) {
	e, unknown, err := decode(text)
	switch {
	case err != nil:
		return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
	case e.SchemaVersion != SchemaVersion:
		return e, nil
	case unknown != "":
		return e, fmt.Errorf("%w: member %.40q is unknown", ErrNoEntry, unknown)
	}
	if err := e.check(); err != nil {
		return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
	}
	if again, err := e.Encode(); err != nil || !bytes.Equal(again, text) {
		return e, fmt.Errorf("%w: the text is not in canonical form (RFC 8785)", ErrNoEntry)
	}
	return e, nil
}

func decode(text []byte) (e Entry, unknown string, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	unknown, err = members(d, "", map[string]any{
		"event": &e.Event, "final": &e.Final, "id": &e.ID, "kind": &e.Kind, "phase": &e.Phase, "previousHash": &e.PreviousHash, "record": &e.Record,
		"recordedTime": &e.RecordedTime, "salt": &e.Salt, "schemaVersion": &e.SchemaVersion, "sequence": &e.Sequence, "traceparent": &e.Traceparent,
		"source": map[string]any{"name": &e.Source.Name, "namespace": &e.Source.Namespace, "uid": (*string)(&e.Source.UID)},
	}, "traceparent", "namespace")
	if err != nil {
		return e, unknown, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return e, unknown, errors.New("something follows the JSON object")
	}
	return e, unknown, nil
}

// members reads an object into the targets of its members' names.
func members(d *jsontext.Decoder, path string, targets map[string]any, optional ...string) (unknown string, _ error) {
	start, err := d.ReadToken()
	switch {
	case err != nil:
		return "", fmt.Errorf("%sno JSON: %w", path, err)
	case start.Kind() != '{':
		return "", fmt.Errorf("%sexpected a JSON object, found %.40s", path, start)
	}
	given := map[string]bool{}
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return "", fmt.Errorf("%sno JSON: %w", path, err)
		}
		name := token.String()
		given[name] = true
		target, known := targets[name]
		if !known {
			unknown = path + name
			if err := d.SkipValue(); err != nil {
				return "", fmt.Errorf("%s%.40s: %w", path, name, err)
			}
			continue
		}
		if inner, ok := target.(map[string]any); ok {
			more, err := members(d, name+".", inner, optional...)
			if err != nil {
				return "", err
			}
			unknown += more
			continue
		}
		value, err := d.ReadValue()
		if err != nil {
			return "", fmt.Errorf("%s%s: %w", path, name, err)
		}
		if raw, ok := target.(*json.RawMessage); ok {
			*raw = bytes.Clone(value)
		} else if err := json.Unmarshal(value, target); err != nil || string(value) == "null" {
			return "", fmt.Errorf("%s%s is %.80s, which has the wrong type", path, name, value)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return "", fmt.Errorf("%sno JSON: %w", path, err)
	}
	for _, name := range optional {
		given[name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(targets)) {
		if !given[name] {
			return "", fmt.Errorf("member %s%s is missing", path, name)
		}
	}
	return unknown, nil
}

// check is what an entry of this release must be beside well-formed.
func (e *Entry) check() error {
	switch {
	case e.Sequence < 1 || e.Sequence > maxSequence:
		return fmt.Errorf("sequence is %d, expected 1 to %d", e.Sequence, int64(maxSequence))
	case !KnownKind(e.Kind):
		return fmt.Errorf("kind is %.80q, expected orchestration, ai-decision, execution, notification, or a name with a group as in backups.example.com", e.Kind)
	case !validSalt(e.Salt):
		return fmt.Errorf("salt is %.80q, expected 128 bits in base64url", e.Salt)
	case e.PreviousHash == "" && e.Sequence > 1 || e.PreviousHash != "" && !validHash(e.PreviousHash):
		return fmt.Errorf("previousHash is %.80q, expected 64 lowercase hex digits, or nothing on the first entry", e.PreviousHash)
	case len(e.Record) == 0 || e.Record[0] != '{':
		return fmt.Errorf("record is %.40s, expected a JSON object", e.Record)
	case e.RecordedTime.IsZero():
		return errors.New("recordedTime is empty, expected a time in RFC 3339")
	}
	return nil
}

// maxSequence is what a double holds exactly.
const maxSequence = 1<<53 - 1

func validHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}
