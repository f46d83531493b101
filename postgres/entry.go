package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// RowOf returns the row of an entry and its text. It is pure. An error names the field that does not fit.
func RowOf(cluster string, e *entry.Entry, text []byte) (models.Row, error) {
	for name, id := range map[string]string{"id": e.ID, "source.uid": string(e.Source.UID)} {
		if canonical, err := models.UUID(id); err != nil || canonical != id { // the text is hashed: it stays as it is
			return nil, fmt.Errorf("%s is %q, expected a UUID in lower case", name, id)
		}
	}
	hash := sha256.Sum256(text)
	previous, ok := decodeHash(e.PreviousHash)
	if !ok && e.PreviousHash != "" {
		return nil, fmt.Errorf("previousHash is %q, expected 64 hex digits, or nothing for the first entry", e.PreviousHash)
	}
	return models.Project(e.Kind, models.Envelope{
		ID:              e.ID,
		SourceCluster:   cluster,
		SourceNamespace: e.Source.Namespace,
		SourceName:      e.Source.Name,
		SourceUID:       string(e.Source.UID),
		Sequence:        e.Sequence,
		Event:           e.Event,
		Phase:           e.Phase,
		Final:           e.Final,
		RecordedAt:      e.RecordedTime,
		SchemaVersion:   e.SchemaVersion,
		PreviousHash:    previous,
		EntryHash:       hash[:],
		Traceparent:     e.Traceparent,
		Entry:           string(text),
	}, e.Record)
}

func decodeHash(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return nil, false
	}
	return b, true
}

// deadLetterOf makes the dead letter of an item, whatever is wrong with it. The key is the id that follows from uid and sequence, and the hash that the text should have, since the
// next entry of the chain points to that hash; where they are not even well-formed, they are made from the text.
func deadLetterOf(cluster string, item *relay.Item, reason, sqlState string) models.DeadLetter {
	e := &item.Entry
	sum := sha256.Sum256(item.Text)
	d := models.DeadLetter{
		Kind:            storable(outbox.Bound(e.Kind, 253)),
		Entry:           storable(string(item.Text)),
		Error:           storable(outbox.Bound(reason, 4<<10)),
		SQLState:        sqlState,
		SourceCluster:   storable(cluster),
		SourceNamespace: storable(item.Source.Namespace),
		SourceName:      storable(item.Source.Name),
		Sequence:        item.Sequence,
		EntryHash:       sum[:],
	}
	if d.Entry != string(item.Text) {
		d.EntryBytes = item.Text
		d.Error += fmt.Sprintf("; bytes that a text column cannot store were replaced by U+FFFD; entry_bytes has the original, with SHA-256 %x", sum)
	}
	if expected, ok := decodeHash(item.Hash); ok {
		d.EntryHash = expected
	}
	if previous, ok := decodeHash(e.PreviousHash); ok {
		d.PreviousHash = previous
	}
	if uid, err := uuid.Parse(string(item.Source.UID)); err == nil {
		d.SourceUID = uid.String()
	}
	id, err := uuid.Parse(item.ID)
	if err != nil {
		id = uuid.NewHash(sha256.New(), uuid.Nil, item.Text, 8)
	}
	d.ID = id.String()
	return d
}

// storable is what a text column can hold.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
