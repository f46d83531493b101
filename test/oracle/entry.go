package oracle

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// entry is one text of status.outbox.entries, and what it says.
type entry struct {
	sequence               int64
	id, previousHash, kind string
	text, hash             string
	// fault is why the text is not what the contract says; empty if it is.
	fault string
}

// entriesOf reads the entries of a resource, oldest first.
func entriesOf(object *unstructured.Unstructured) ([]entry, error) {
	list, _, err := unstructured.NestedStringSlice(object.Object, "status", "outbox", "entries")
	if err != nil {
		return nil, err
	}
	entries := make([]entry, len(list))
	for i, text := range list {
		entries[i] = newEntry(object, text)
	}
	return entries, nil
}

// members of an entry. Only traceparent, and the namespace of the source, may be absent.
var members = []string{"event", "final", "id", "kind", "phase", "previousHash", "record", "recordedTime", "salt", "schemaVersion", "sequence", "source"}

func newEntry(object *unstructured.Unstructured, text string) entry {
	e := entry{text: text, hash: hashOf(text)}
	var fields map[string]any
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		e.fault = "it is no JSON: " + err.Error()
		return e
	}
	for name, into := range map[string]*string{"id": &e.id, "previousHash": &e.previousHash, "kind": &e.kind} {
		*into, _ = fields[name].(string)
	}
	sequence, _ := fields["sequence"].(float64)
	e.sequence = int64(sequence)
	for _, name := range members {
		if _, given := fields[name]; !given {
			e.fault = "it has no " + name
		}
	}
	want := map[string]any{"name": object.GetName(), "uid": string(object.GetUID())}
	if object.GetNamespace() != "" {
		want["namespace"] = object.GetNamespace()
	}
	if !reflect.DeepEqual(fields["source"], want) {
		e.fault = fmt.Sprintf("its source is %v", fields["source"])
	}
	if salt, err := base64.RawURLEncoding.DecodeString(fmt.Sprint(fields["salt"])); err != nil || len(salt) != 16 {
		e.fault = fmt.Sprintf("its salt is %v", fields["salt"])
	}
	if canonical, err := jcs.Transform([]byte(text)); err != nil || string(canonical) != text {
		e.fault = fmt.Sprintf("its canonical form is %s, %v", canonical, err)
	}
	return e
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
