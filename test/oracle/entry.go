package oracle

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// entry is one element of status.outbox.entries, and what should follow from it.
type entry struct {
	sequence                     int64
	id, hash, previousHash, kind string
	// text is the canonical JSON, and textHash its SHA-256, both worked out here.
	text, textHash string
}

// entriesOf reads the entries of a resource, oldest first.
func entriesOf(object *unstructured.Unstructured) ([]entry, error) {
	list, _, err := unstructured.NestedSlice(object.Object, "status", "outbox", "entries")
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(list))
	for i, item := range list {
		fields, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("entry at index %d is a %T, expected an object", i, item)
		}
		e, err := newEntry(object, fields)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

func newEntry(object *unstructured.Unstructured, fields map[string]any) (entry, error) {
	e := entry{}
	e.sequence, _, _ = unstructured.NestedInt64(fields, "sequence")
	for name, into := range map[string]*string{"id": &e.id, "hash": &e.hash, "previousHash": &e.previousHash, "kind": &e.kind} {
		*into, _, _ = unstructured.NestedString(fields, name)
	}
	var err error
	if e.text, err = canonical(object, fields); err != nil {
		return entry{}, fmt.Errorf("entry %d: %w", e.sequence, err)
	}
	e.textHash = hashOf(e.text)
	return e, nil
}

// canonical is the text that is hashed: the entry without its hash, with the source that it comes from, as RFC 8785 JSON.
func canonical(object *unstructured.Unstructured, fields map[string]any) (string, error) {
	source := map[string]any{"name": object.GetName(), "uid": string(object.GetUID())}
	if object.GetNamespace() != "" {
		source["namespace"] = object.GetNamespace()
	}
	hashed := maps.Clone(fields)
	delete(hashed, "hash")
	hashed["source"] = source
	raw, err := json.Marshal(hashed)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	text, err := jcs.Transform(raw)
	if err != nil {
		return "", fmt.Errorf("canonical JSON: %w", err)
	}
	return string(text), nil
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// idOf is the id that the contract gives to a position: 48 bits of the resource's creation time in milliseconds, version 8, and the first bits of
// SHA-256(uid + "/" + decimal sequence) wherever version and variant leave room.
func idOf(uid string, created time.Time, sequence int64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d", uid, sequence))
	high := uint64(created.UnixMilli())<<16 | 8<<12 | uint64(binary.BigEndian.Uint16(sum[0:]))&0x0fff
	low := binary.BigEndian.Uint64(sum[2:])&(1<<62-1) | 1<<63
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low)
	return id.String()
}
