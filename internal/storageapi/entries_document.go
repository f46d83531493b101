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
		"namespace": text("Its namespace."), "name": text("Its name."), "uid": text("Its uid."), "created": moment("Its creationTimestamp, which ids are made of."),
	})
	source.Description = "The resource."
	sent := object([]string{"source", "resource", "sequence", "hash", "entry"}, map[string]*huma.Schema{"source": source, "resource": text("The Kubernetes kind."),
		"sequence":    {Type: huma.TypeInteger, Minimum: ptr.To(0.0), Maximum: ptr.To(float64(1<<53 - 1)), Description: "Follows from the entry's position in the outbox, from 1."},
		"hash":        text("What the text should have: the previousHash of the entry after it, of the last the outbox's headHash; 64 hex digits."),
		"entry":       text("The entry: its text, as it is in the resource's outbox. docs/entry.md specifies it."),
		"askPrevious": {Type: huma.TypeBoolean, Description: "Ask whether the entry before has a row or a dead letter, for the first entry of a resource that a relay sends."}})
	body := object([]string{"entries"}, map[string]*huma.Schema{
		"cluster": {Type: huma.TypeString, MaxLength: ptr.To(maxCluster), Description: "The cluster's name (source_cluster)."},
		"entries": {Type: huma.TypeArray, Items: sent, MaxItems: ptr.To(l.Entries), Description: "The entries. None is allowed too: the answer says whether the caller may send some, whether the database takes writes, and which database it is."},
	})
	outcome := object([]string{"result"}, map[string]*huma.Schema{
		"result": {Type: huma.TypeString, Enum: []any{"stored", "present", "dead-lettered", "conflicting", "unsupported"},
			Description: "stored: a new row. present: was there before. dead-lettered: could not become a row. conflicting: another entry has its id or sequence, so it is a dead letter. " +
				"unsupported: its schemaVersion is unknown; send it to a newer release."},
		"error": text("Why it became a dead letter."), "sqlstate": text("The database's code for that."),
		"previousMissing": {Type: huma.TypeBoolean, Description: "It was asked, and the entry before has neither: the database has lost it, as after a restore."},
	})
	answered := object([]string{"outcomes"}, map[string]*huma.Schema{"outcomes": {Type: huma.TypeArray, Items: outcome, Description: "What became of each entry, in their order."},
		"database": text("Names the database that has them; opaque. It is another one after a failover, a restore or a restart: what was acknowledged before may be lost then.")})
	responses := map[string]*huma.Response{"200": answer("Committed. Each entry's outcome is told.", "application/json", answered, "")}
	for _, r := range refusals {
		if r.status != http.StatusConflict && r.status != http.StatusTooManyRequests { // conflicts are outcomes, and relays are not paced
			responses[status(r)] = &huma.Response{Ref: responsePrefix + status(r)}
		}
	}
	return &huma.Operation{
		Method: http.MethodPost, Path: "/" + storageclient.EntriesPath, OperationID: "relayEntries", Tags: []string{"relay"}, Summary: "Entries of outboxes, sent by a relay",
		Description: "One transaction. An entry that cannot become a row becomes a dead letter in it. It takes the right to relay auditrecords.holdfast.dev.",
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
