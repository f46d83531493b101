package storageclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Envelope has the fields around a record. The service sets those that are zero.
type Envelope struct {
	// ID makes the call idempotent: a UUID, but not of version 8.
	ID string `json:"id,omitempty"`
	// Event is what happened, CamelCase; Phase the phase after it; Final, that nothing will follow.
	Event string `json:"event,omitempty"`
	Phase string `json:"phase,omitempty"`
	Final bool   `json:"final,omitempty"`
	// RecordedAt is when it happened.
	RecordedAt *outboxapi.Time `json:"recorded_at,omitempty"`
	// Traceparent is the W3C trace context of what happened.
	Traceparent string `json:"traceparent,omitempty"`
}

// The records that can be posted, one type for each endpoint.
type (
	// Orchestration goes to orchestration_audit.
	Orchestration struct {
		Envelope
		models.Orchestration
	}
	// AIDecision goes to ai_analysis_audit.
	AIDecision struct {
		Envelope
		models.AIDecision
	}
	// Execution goes to workflow_execution_audit.
	Execution struct {
		Envelope
		models.Execution
	}
	// Notification goes to notification_audit.
	Notification struct {
		Envelope
		models.Notification
	}
)

// Record is one of the four record types.
type Record interface{ path() string }

func (Orchestration) path() string { return "api/v1/audit/orchestration" }
func (AIDecision) path() string    { return "api/v1/audit/ai-decisions" }
func (Execution) path() string     { return "api/v1/audit/executions" }
func (Notification) path() string  { return "api/v1/audit/notifications" }

// Receipt is the answer for one record.
type Receipt struct {
	ID string `json:"id"`
	// Status is stored, or present if the same record was stored under this id before.
	Status string `json:"status"`
	// Repaired counts the places in the record with text that a database cannot store (NUL, lone surrogates, invalid UTF-8). Each was replaced by U+FFFD.
	Repaired int `json:"repaired,omitempty"`
}

// Post stores records of one type, all or nothing. After an error other than *Error the records may or may not be stored: post them again, with ids.
func (c *Client) Post(ctx context.Context, records ...Record) ([]Receipt, error) {
	if len(records) == 0 {
		return nil, errors.New("post records: none given, expected at least one")
	}
	path := records[0].path()
	for i, r := range records {
		if r.path() != path {
			return nil, fmt.Errorf("post %d records: the first is a %T, number %d is a %T; post each type in its own call", len(records), records[0], i+1, r)
		}
	}
	body, err := json.Marshal(records)
	if err != nil {
		return nil, fmt.Errorf("encode the records: %w", err)
	}
	var receipts []Receipt
	if err := c.post(ctx, path, body, &receipts); err != nil {
		return nil, err
	}
	return receipts, nil
}
