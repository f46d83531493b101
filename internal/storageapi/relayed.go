package storageapi

import (
	"reflect"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// relayed reports whether the record claims a place in a chain. Then it is the whole entry of an outbox, and the row is made of that.
func (f *fields) relayed() bool {
	return f.Sequence != 0 || f.PreviousHash != "" || f.EntryHash != "" || f.Entry != ""
}

// relayedRow is the row of an outbox entry, column by column the one that the relay would have made: recorded_by is not in the entry, and stays NULL. What was
// posted beside the entry must say the same. It is nil, and c has faults, if it does not.
func (e *endpoint) relayedRow(posted models.Row, f *fields, c *checker) models.Row {
	before := len(c.faults) + c.more
	for name, missing := range map[string]bool{"source_uid": f.SourceUID == "", "sequence": f.Sequence == 0, "entry_hash": f.EntryHash == "", "entry": f.Entry == ""} {
		if missing {
			c.faultAt(name, "is missing; sequence, previous_hash, entry_hash, entry and source_uid must be given together")
		}
	}
	if len(c.faults)+c.more > before {
		return nil
	}
	decoded, err := entry.Decode([]byte(f.Entry))
	switch hash := entry.Hash([]byte(f.Entry)); {
	case hash != f.EntryHash:
		c.faultAt("entry_hash", "is not the SHA-256 of entry, expected %s", hash)
	case err != nil:
		c.faultAt("entry", "is not an outbox entry: %s", err)
	case decoded.Kind != e.kind:
		c.faultAt("entry", "is of kind %q, expected %s here", outbox.Bound(decoded.Kind, 80), e.kind)
	case decoded.SchemaVersion != entry.SchemaVersion:
		c.faultAt("entry", "has schema version %d, expected %d", decoded.SchemaVersion, entry.SchemaVersion)
	case !follows(&decoded):
		c.faultAt("entry", "has id %q, which is not the id derived from uid and sequence", outbox.Bound(decoded.ID, 80))
	}
	if len(c.faults)+c.more > before {
		return nil
	}
	row, err := postgres.RowOf(f.SourceCluster, &decoded, []byte(f.Entry))
	if err != nil {
		c.faultAt("entry", "does not fit: %s", err)
		return nil
	}
	sameRecord(row, posted, c)
	f.sameEnvelope(row.Head(), &decoded, c)
	if len(c.faults)+c.more > before {
		return nil
	}
	return row
}

// follows checks the id: anybody could otherwise take the place of another entry.
func follows(e *entry.Entry) bool {
	id, err := uuid.Parse(e.ID)
	if err != nil || id.String() != e.ID {
		return false
	}
	var ms int64
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	_, err = uuid.Parse(string(e.Source.UID))
	return err == nil && entry.ID(e.Source.UID, time.UnixMilli(ms), e.Sequence) == e.ID
}

// sameRecord compares the columns of two rows of one table, but for the envelope.
func sameRecord(want, have models.Row, c *checker) {
	w, h := reflect.ValueOf(want).Elem().Field(1), reflect.ValueOf(have).Elem().Field(1) // rows embed the envelope, then the record
	for i := range w.NumField() {
		if !reflect.DeepEqual(w.Field(i).Interface(), h.Field(i).Interface()) {
			name, _, _ := strings.Cut(w.Type().Field(i).Tag.Get("json"), ",")
			c.faultAt(name, "differs from entry")
		}
	}
}

// sameEnvelope compares the fields around the record. What was left out is the entry's.
func (f *fields) sameEnvelope(want *models.Envelope, e *entry.Entry, c *checker) {
	for _, field := range []struct {
		name             string
		given, different bool
	}{
		{"id", f.ID != "", !strings.EqualFold(f.ID, want.ID)},
		{"event", f.Event != "", f.Event != want.Event},
		{"phase", f.Phase != "", f.Phase != want.Phase},
		{"final", f.Final != nil, f.Final != nil && *f.Final != want.Final},
		{"recorded_at", !f.RecordedAt.IsZero(), !f.RecordedAt.Time.Equal(want.RecordedAt.Time)},
		{"traceparent", f.Traceparent != "", f.Traceparent != want.Traceparent},
		{"source_namespace", f.SourceNamespace != "", f.SourceNamespace != want.SourceNamespace},
		{"source_name", f.SourceName != "", f.SourceName != want.SourceName},
		{"source_uid", true, !strings.EqualFold(f.SourceUID, want.SourceUID)},
		{"sequence", true, f.Sequence != want.Sequence},
		{"previous_hash", true, f.PreviousHash != e.PreviousHash},
	} {
		if field.given && field.different {
			c.faultAt(field.name, "differs from entry")
		}
	}
}
