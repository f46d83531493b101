package storageapi

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"k8s.io/utils/ptr"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// entriesOperation describes what relays call. It is for programs: entries are made by outboxes, not by hand.
func entriesOperation(l Limits) *huma.Operation {
	object := func(required []string, properties map[string]*huma.Schema) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Required: required, Properties: properties}
	}
	text := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description}
	}
	moment := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Format: "date-time", Description: description}
	}
	source := object([]string{"name", "uid", "created"}, map[string]*huma.Schema{
		"namespace": text("Namespace of the resource."), "name": text("Name of the resource."), "uid": text("UID of the resource."), "created": moment("creationTimestamp of the resource; part of the entry id."),
	})
	source.Description = "Resource that the entry comes from."
	sent := object([]string{"source", "resource", "sequence", "hash", "entry"}, map[string]*huma.Schema{"source": source, "resource": text("Kubernetes kind of the resource."),
		"sequence":    {Type: huma.TypeInteger, Minimum: ptr.To(0.0), Maximum: ptr.To(float64(1<<53 - 1)), Description: "Sequence of the entry, from 1, by its position in the outbox."},
		"hash":        text("Expected SHA-256 of the entry text, 64 hex digits: previousHash of the next entry, or headHash of the outbox for the newest."),
		"entry":       text("Text of the entry, exactly as in the outbox. See docs/entry.md."),
		"askPrevious": {Type: huma.TypeBoolean, Description: "Report whether the previous entry has a row or a dead letter. A relay sets it on the first entry that it sends of a resource."}})
	body := object([]string{"entries"}, map[string]*huma.Schema{
		"cluster": {Type: huma.TypeString, MaxLength: ptr.To(maxCluster), Description: "Name of the cluster (source_cluster)."},
		"entries": {Type: huma.TypeArray, Items: sent, MaxItems: ptr.To(l.Entries), Description: "Entries to store. An empty array checks that the caller may send entries and that the database accepts writes, and returns the identity of the database."},
	})
	outcome := object([]string{"result"}, map[string]*huma.Schema{
		"result": {Type: huma.TypeString, Enum: []any{"stored", "present", "dead-lettered", "conflicting", "unsupported"},
			Description: "stored: a new row. present: already stored. dead-lettered: cannot be stored as a row. conflicting: another entry has its id or sequence, so it is a dead letter. " +
				"unsupported: its schemaVersion is unknown; send it to a newer release."},
		"error": text("Reason of the dead letter."), "sqlstate": text("SQLSTATE of the error."),
		"previousMissing": {Type: huma.TypeBoolean, Description: "True if askPrevious was set and the previous entry has no row and no dead letter: the database lost it, for example after a restore."},
	})
	answered := object([]string{"outcomes"}, map[string]*huma.Schema{"outcomes": {Type: huma.TypeArray, Items: outcome, Description: "Result of each entry, in the order of the request."},
		"database": text("Opaque identity of the database. It changes after a failover, a restore or a restart; entries that were acknowledged before may then be lost.")})
	responses := map[string]*huma.Response{"200": answer("Committed. The answer has the result of each entry.", "application/json", answered, "")}
	for _, r := range refusals {
		if r.status != http.StatusConflict && r.status != http.StatusTooManyRequests { // conflicts are outcomes, and relays are not paced
			responses[status(r)] = &huma.Response{Ref: responsePrefix + status(r)}
		}
	}
	return &huma.Operation{
		Method: http.MethodPost, Path: "/" + storageclient.EntriesPath, OperationID: "relayEntries", Tags: []string{"relay"}, Summary: "Store outbox entries sent by a relay",
		Description: "One transaction stores all entries. An entry that cannot be stored as a row becomes a dead letter in the same transaction. The caller needs the permission to relay auditrecords.holdfast.dev.",
		Security:    []map[string][]string{{"kubernetes": {}}},
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: body, Examples: map[string]*huma.Example{"one": {Summary: "One entry", Value: entriesExample()}}}}},
		Responses:   responses,
	}
}

// entriesExample is a body with a real entry.
func entriesExample() json.RawMessage {
	at := time.Date(2026, 11, 23, 4, 5, 6, 789012000, time.UTC)
	source := entry.Source{Namespace: "shop", Name: "cart-1-notification", UID: "6f1d3a52-7c1f-4c0a-9a3e-5b2d8a4b2c11", Created: at.Truncate(time.Second)}
	o, _, err := entry.Append(nil, source, entry.Change{Kind: entry.KindNotification, Event: "SendingStarted", Phase: "Sending",
		Record: models.Notification{RemediationID: "4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11", NotificationRequestedAt: outboxapi.NewTime(at), Channels: []string{"console"}}}, at, entry.Salt{}, entry.DefaultLimits())
	if err != nil {
		panic(err) // it is a constant
	}
	body, err := json.Marshal(storageclient.Entries{Cluster: "east", Entries: []storageclient.SentEntry{{
		Source: storageclient.Source{Namespace: source.Namespace, Name: source.Name, UID: source.UID, Created: outboxapi.NewTime(source.Created)}, Resource: "NotificationRequest", Sequence: 1, Hash: o.HeadHash, Entry: o.Entries[0],
	}}})
	if err != nil {
		panic(err) // it is a constant
	}
	return body
}
