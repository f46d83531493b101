package outbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
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
	Entry
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
func Canonical(s Source, e *Entry) ([]byte, error) {
	raw, err := json.Marshal(hashed{Entry: *e, Source: hashedSource{Namespace: s.Namespace, Name: s.Name, UID: s.UID}})
	if err != nil {
		return nil, fmt.Errorf("encode entry %d: %w", e.Sequence, err)
	}
	text, err := jcs.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("canonical JSON of entry %d: %w", e.Sequence, err)
	}
	return text, nil
}

// Hash is SHA-256 of a canonical text in 64 lowercase hex digits.
func Hash(canonical []byte) string {
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:])
}

// Decode reads a canonical text back. The entry's Hash is computed from the text; Source.Created is not part of it.
func Decode(canonical []byte) (Source, Entry, error) {
	var h hashed
	if err := json.Unmarshal(canonical, &h); err != nil {
		return Source{}, Entry{}, fmt.Errorf("decode entry: %w", err)
	}
	e := h.Entry
	e.Hash = Hash(canonical)
	return Source{Namespace: h.Source.Namespace, Name: h.Source.Name, UID: h.Source.UID}, e, nil
}
