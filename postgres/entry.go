package postgres

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/relay"
)

// RowOf projects an entry, with the text that was hashed, onto the row of its table. It is pure. Errors name the field that does not fit.
func RowOf(cluster string, s outbox.Source, e *outboxapi.Entry, canonical []byte) (models.Row, error) {
	for name, id := range map[string]string{"id": e.ID, "source.uid": string(s.UID)} {
		if _, err := uuid.Parse(id); err != nil {
			return nil, fmt.Errorf("%s is %q, expected a UUID", name, id)
		}
	}
	hash, ok := decodeHash(e.Hash)
	if !ok {
		return nil, fmt.Errorf("hash is %q, expected 64 hex digits", e.Hash)
	}
	previous, ok := decodeHash(e.PreviousHash)
	if !ok && e.PreviousHash != "" {
		return nil, fmt.Errorf("previousHash is %q, expected 64 hex digits, or nothing on the first entry", e.PreviousHash)
	}
	return models.Project(e.Kind, models.Envelope{
		ID:              e.ID,
		SourceCluster:   cluster,
		SourceNamespace: s.Namespace,
		SourceName:      s.Name,
		SourceUID:       string(s.UID),
		Sequence:        e.Sequence,
		Event:           e.Event,
		Phase:           e.Phase,
		Final:           e.Final,
		RecordedAt:      e.RecordedTime,
		SchemaVersion:   int64(e.SchemaVersion),
		PreviousHash:    previous,
		EntryHash:       hash,
		Traceparent:     e.Traceparent,
		Entry:           string(canonical),
	}, e.Record.Raw)
}

func decodeHash(s string) ([]byte, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != sha256.Size {
		return nil, false
	}
	return b, true
}

// deadLetterOf makes the dead letter of an item, whatever is wrong with it. The key is the id and the hash that the entry claims, since the next entry of the
// chain points to that hash; where a claim is not even well-formed, it is made from the text.
func deadLetterOf(cluster string, item *relay.Item, reason, sqlState string) models.DeadLetter {
	e := &item.Entry
	sum := sha256.Sum256(item.Canonical)
	d := models.DeadLetter{
		Kind:            storable(e.Kind),
		Entry:           storable(string(item.Canonical)),
		Error:           storable(outbox.Bound(reason, 4<<10)),
		SQLState:        sqlState,
		SourceCluster:   storable(cluster),
		SourceNamespace: storable(item.Source.Namespace),
		SourceName:      storable(item.Source.Name),
		Sequence:        e.Sequence,
		EntryHash:       sum[:],
	}
	if d.Entry != string(item.Canonical) {
		d.EntryBytes = item.Canonical
		d.Error += fmt.Sprintf("; bytes of the entry that no text column holds became U+FFFD, entry_bytes has it as it was, with the SHA-256 %x", sum)
	}
	if claimed, ok := decodeHash(e.Hash); ok {
		d.EntryHash = claimed
	}
	if previous, ok := decodeHash(e.PreviousHash); ok {
		d.PreviousHash = previous
	}
	if uid, err := uuid.Parse(string(item.Source.UID)); err == nil {
		d.SourceUID = uid.String()
	}
	id, err := uuid.Parse(item.ID)
	if err != nil {
		id = uuid.NewHash(sha256.New(), uuid.Nil, item.Canonical, 8)
	}
	d.ID = id.String()
	return d
}

// storable is what a text column can hold.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
