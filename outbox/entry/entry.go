package entry

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
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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

// RecordedTime finds when an entry was recorded without decoding its text; ok is false if it is not there. It is for estimates: whoever wrote the text chose it.
func RecordedTime(text outboxapi.Entry) (_ outboxapi.Time, ok bool) {
	const name = `,"recordedTime":`
	// The members after the record are short. No search over 64 KiB of something else.
	end := text[max(0, len(text)-4<<10):]
	at := strings.LastIndex(string(end), name+`"`)
	if at < 0 {
		return outboxapi.Time{}, false
	}
	value := string(end[at+len(name):])
	length := strings.IndexByte(value[1:], '"') + 2
	var recorded outboxapi.Time
	err := recorded.UnmarshalJSON([]byte(value[:length]))
	return recorded, err == nil && !recorded.IsZero()
}

// ErrNoEntry says that a text is not an entry: it is no JSON, not in canonical form, or members are missing, unknown or of the wrong form.
var ErrNoEntry = errors.New("not an audit entry")

// maxSchemaVersion is what the column schema_version holds. No release will know a version beyond it, or below 1.
const maxSchemaVersion = math.MaxInt16

// Decode reads a text. What it cannot read it leaves empty, and says so: an error wraps ErrNoEntry and names the member. The text of another schema version may have members that this
// release does not know: it is read as far as it is known, and is no error.
func Decode(text []byte) (Entry, error) {
	e, unknown, err := decode(text)
	switch {
	case err != nil:
		return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
	case e.SchemaVersion < 1 || e.SchemaVersion > maxSchemaVersion:
		return e, fmt.Errorf("%w: schemaVersion is %d, expected 1 to %d", ErrNoEntry, e.SchemaVersion, maxSchemaVersion)
	case e.SchemaVersion != SchemaVersion:
		return e, nil
	case unknown != "":
		return e, fmt.Errorf("%w: member %.40q is unknown", ErrNoEntry, unknown)
	}
	if err := e.check(); err != nil {
		return e, fmt.Errorf("%w: %w", ErrNoEntry, err)
	}
	if !e.canonical(text) {
		return e, fmt.Errorf("%w: the text is not in canonical form (RFC 8785)", ErrNoEntry)
	}
	return e, nil
}

// canonical reports whether the text is what the entry is written as. Encode takes the record as it is, so the record is looked at by itself.
func (e *Entry) canonical(text []byte) bool {
	record := jsontext.Value(bytes.Clone(e.Record))
	if record.Canonicalize() != nil || !bytes.Equal(record, e.Record) {
		return false
	}
	again, err := e.Encode()
	return err == nil && bytes.Equal(again, text)
}

// member of an entry: its name, and how its value is read. read reports whether the value has the right type; nil for the source, which has members of its own.
type member struct {
	name     string
	read     func(*Entry, jsontext.Value) bool
	optional bool
}

var (
	envelopeMembers = []member{
		{name: "event", read: textInto(func(e *Entry) *string { return &e.Event })},
		{name: "final", read: (*Entry).readFinal},
		{name: "id", read: textInto(func(e *Entry) *string { return &e.ID })},
		{name: "kind", read: textInto(func(e *Entry) *string { return &e.Kind })},
		{name: "phase", read: textInto(func(e *Entry) *string { return &e.Phase })},
		{name: "previousHash", read: textInto(func(e *Entry) *string { return &e.PreviousHash })},
		{name: "record", read: (*Entry).readRecord},
		{name: "recordedTime", read: (*Entry).readRecordedTime},
		{name: "salt", read: textInto(func(e *Entry) *string { return &e.Salt })},
		{name: "schemaVersion", read: integerInto(func(e *Entry) *int64 { return &e.SchemaVersion })},
		{name: "sequence", read: integerInto(func(e *Entry) *int64 { return &e.Sequence })},
		{name: "source"},
		{name: "traceparent", read: textInto(func(e *Entry) *string { return &e.Traceparent }), optional: true},
	}
	sourceMembers = []member{
		{name: "name", read: textInto(func(e *Entry) *string { return &e.Source.Name })},
		{name: "namespace", read: textInto(func(e *Entry) *string { return &e.Source.Namespace }), optional: true},
		{name: "uid", read: textInto(func(e *Entry) *string { return (*string)(&e.Source.UID) })},
	}
)

func textInto(target func(*Entry) *string) func(*Entry, jsontext.Value) bool {
	return func(e *Entry, value jsontext.Value) bool {
		if value.Kind() != '"' {
			return false
		}
		text, err := jsontext.AppendUnquote(nil, value)
		*target(e) = string(text)
		return err == nil
	}
}

func integerInto(target func(*Entry) *int64) func(*Entry, jsontext.Value) bool {
	return func(e *Entry, value jsontext.Value) (ok bool) {
		n, err := strconv.ParseInt(string(value), 10, 64)
		*target(e) = n
		return err == nil
	}
}

func (e *Entry) readFinal(value jsontext.Value) bool {
	e.Final = value.Kind() == 't'
	return e.Final || value.Kind() == 'f'
}

func (e *Entry) readRecord(value jsontext.Value) bool {
	e.Record = json.RawMessage(value.Clone())
	return true // check says what is wrong with it
}

func (e *Entry) readRecordedTime(value jsontext.Value) bool {
	return value.Kind() == '"' && e.RecordedTime.UnmarshalJSON(value) == nil
}

func decode(text []byte) (e Entry, unknown string, err error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	unknown, err = e.readMembers(d, "", envelopeMembers)
	if err != nil {
		return e, unknown, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return e, unknown, errors.New("something follows the JSON object")
	}
	return e, unknown, nil
}

// readMembers reads an object. It returns the name of a member that is none of these.
func (e *Entry) readMembers(d *jsontext.Decoder, path string, members []member) (unknown string, _ error) {
	start, err := d.ReadToken()
	switch {
	case err != nil:
		return "", fmt.Errorf("%sno JSON: %w", path, err)
	case start.Kind() != '{':
		return "", fmt.Errorf("%sexpected a JSON object, found %.40s", path, start)
	}
	given := 0 // bits by the member's index
	for d.PeekKind() == '"' {
		token, err := d.ReadToken()
		if err != nil {
			return "", fmt.Errorf("%sno JSON: %w", path, err)
		}
		name := token.String()
		i := slices.IndexFunc(members, func(m member) bool { return m.name == name })
		if i < 0 {
			unknown = path + name
			if err := d.SkipValue(); err != nil {
				return "", fmt.Errorf("%s%.40s: %w", path, name, err)
			}
			continue
		}
		given |= 1 << i
		if members[i].read == nil {
			more, err := e.readMembers(d, name+".", sourceMembers)
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
		if !members[i].read(e, value) {
			return "", fmt.Errorf("%s%s is %.80s, which has the wrong type", path, name, value)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return "", fmt.Errorf("%sno JSON: %w", path, err)
	}
	for i, m := range members {
		if given&(1<<i) == 0 && !m.optional {
			return "", fmt.Errorf("member %s%s is missing", path, m.name)
		}
	}
	return unknown, nil
}

// check is what an entry of this release must be beside well-formed.
func (e *Entry) check() error {
	switch {
	case e.Sequence < 1 || e.Sequence > maxSequence:
		return fmt.Errorf("sequence is %d, expected 1 to %d", e.Sequence, int64(maxSequence))
	case !validSalt(e.Salt):
		return fmt.Errorf("salt is %.80q, expected 128 bits in base64url", e.Salt)
	case e.PreviousHash == "" && e.Sequence > 1 || e.PreviousHash != "" && !validHash(e.PreviousHash):
		return fmt.Errorf("previousHash is %.80q, expected 64 lowercase hex digits, or nothing on the first entry", e.PreviousHash)
	case len(e.Record) == 0 || e.Record[0] != '{':
		return fmt.Errorf("record is %.40s, expected a JSON object", e.Record)
	case e.RecordedTime.IsZero():
		return errors.New("recordedTime is empty, expected a time in RFC 3339")
	}
	return e.checkWhat()
}

// checkWhat holds what a change says of itself to its rules: Append refuses what Decode would not read.
func (e *Entry) checkWhat() error {
	switch {
	case !KnownKind(e.Kind):
		return fmt.Errorf("kind is %.80q, expected orchestration, ai-decision, execution, notification, or a name with a group as in backups.example.com", e.Kind)
	case !camelCase.MatchString(e.Event) || len(e.Event) > 64:
		return fmt.Errorf("event is %.80q, expected CamelCase of at most 64 characters", e.Event)
	case !utf8.ValidString(e.Phase) || len(e.Phase) > 50:
		return fmt.Errorf("phase is %.80q with %d bytes, expected at most 50 bytes of UTF-8", e.Phase, len(e.Phase))
	case e.Traceparent != "" && !ValidTraceparent(e.Traceparent):
		return fmt.Errorf("traceparent is %.80q, expected a W3C traceparent of version 00", e.Traceparent)
	}
	return nil
}

// maxSequence is what a double holds exactly.
const maxSequence = 1<<53 - 1

func validHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}
