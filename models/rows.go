package models

import outboxapi "github.com/holdfast-dev/holdfast/outbox/api"

// Names of the tables, in the order in which a transaction writes them: two writers that take the same order cannot deadlock.
const (
	TableOrchestration = "orchestration_audit"
	TableAIAnalysis    = "ai_analysis_audit"
	TableExecution     = "workflow_execution_audit"
	TableNotification  = "notification_audit"
	TableResource      = "resource_audit"
	TableDeadLetter    = "audit_dead_letter"
)

// Tables lists the tables that hold rows, in the order in which a transaction writes them. Dead letters come last and are not among them.
func Tables() []string {
	return []string{TableOrchestration, TableAIAnalysis, TableExecution, TableNotification, TableResource}
}

// Envelope has the fields that every row has in addition to its record: origin, time, the hash chain, and the exact text that was hashed. The tags are bun's. An empty
// string, a zero sequence and an empty hash are NULL where the column allows it.
type Envelope struct {
	ID              string `bun:"id,pk,type:uuid"`
	SourceCluster   string `bun:"source_cluster,type:varchar(255),nullzero"`
	SourceNamespace string `bun:"source_namespace,type:varchar(255),nullzero"`
	SourceName      string `bun:"source_name,type:varchar(255),nullzero"`
	SourceUID       string `bun:"source_uid,type:uuid,nullzero"`
	// Sequence is the position in the resource's outbox, from 1.
	Sequence int64  `bun:"sequence,type:bigint,nullzero"`
	Event    string `bun:"event,type:varchar(64),notnull"`
	// Phase after the change; empty for what was posted over REST.
	Phase string `bun:"phase,type:varchar(50),notnull"`
	// Final is true on the entry that closed the record.
	Final bool `bun:"final,notnull"`
	// RecordedAt is when it changed.
	RecordedAt outboxapi.Time `bun:"recorded_at,notnull"`
	// RecordedBy is the authenticated caller, for what was posted over REST.
	RecordedBy    string `bun:"recorded_by,type:varchar(255),nullzero"`
	SchemaVersion int64  `bun:"schema_version,type:smallint,notnull"`
	// PreviousHash is the hash of the entry before, 32 bytes; nil on the first.
	PreviousHash []byte `bun:"previous_hash,nullzero"`
	// EntryHash is SHA-256 of Entry, 32 bytes; nil for what was posted over REST.
	EntryHash   []byte `bun:"entry_hash,nullzero"`
	Traceparent string `bun:"traceparent,type:varchar(64),nullzero"`
	// Entry is the exact canonical text that was hashed. All other columns but id, source_cluster, recorded_by and created_at are its projection.
	Entry string `bun:"entry,notnull"`
	// CreatedAt is when the row was inserted. The database sets it.
	CreatedAt outboxapi.Time `bun:"created_at,nullzero,default:now()"`
}

// Head is the row's envelope.
func (e *Envelope) Head() *Envelope { return e }

// Row is a row of one of the Tables, as a pointer to one of the structs below.
type Row interface {
	// Table is the table's name.
	Table() string
	Head() *Envelope
	// record is the part that the record's JSON fills.
	record() any
}

// OrchestrationRow is a row of orchestration_audit.
type OrchestrationRow struct {
	Envelope
	Orchestration
}

// AIDecisionRow is a row of ai_analysis_audit.
type AIDecisionRow struct {
	Envelope
	AIDecision
}

// ExecutionRow is a row of workflow_execution_audit.
type ExecutionRow struct {
	Envelope
	Execution
}

// NotificationRow is a row of notification_audit.
type NotificationRow struct {
	Envelope
	Notification
}

// ResourceRow is a row of resource_audit, the table for entries of other operators. Its record is one JSON column.
type ResourceRow struct {
	Envelope
	// Kind of the entry, a name with a group (backups.example.com).
	Kind string `bun:"kind,type:varchar(253),notnull"`
	// Record is the JSON object that the entry carries.
	Record string `bun:"record,type:jsonb,notnull"`
}

// Table is orchestration_audit.
func (*OrchestrationRow) Table() string { return TableOrchestration }

// Table is ai_analysis_audit.
func (*AIDecisionRow) Table() string { return TableAIAnalysis }

// Table is workflow_execution_audit.
func (*ExecutionRow) Table() string { return TableExecution }

// Table is notification_audit.
func (*NotificationRow) Table() string { return TableNotification }

// Table is resource_audit.
func (*ResourceRow) Table() string { return TableResource }

func (r *OrchestrationRow) record() any { return &r.Orchestration }
func (r *AIDecisionRow) record() any    { return &r.AIDecision }
func (r *ExecutionRow) record() any     { return &r.Execution }
func (r *NotificationRow) record() any  { return &r.Notification }
func (r *ResourceRow) record() any      { return nil }

// DeadLetter is a row of audit_dead_letter: an entry that could not be stored as a row, and the error. It is complete: redriving creates the row from Entry.
type DeadLetter struct {
	// ID and EntryHash are the key. EntryHash is the hash that the entry claims.
	ID        string `bun:"id,pk,type:uuid"`
	EntryHash []byte `bun:"entry_hash,pk"`
	// Kind of the entry, which decides on its table.
	Kind string `bun:"kind,notnull"`
	// Entry is the canonical text. NULs and bytes that are not UTF-8, which no text column can hold, became U+FFFD; EntryBytes has it as it was then.
	Entry string `bun:"entry,notnull"`
	// EntryBytes is the entry, byte for byte, where Entry is not; else nil.
	EntryBytes []byte `bun:"entry_bytes,nullzero"`
	Error      string `bun:"error,notnull"`
	// SQLState is the database's code, empty where no database refused the entry.
	SQLState        string         `bun:"sqlstate,nullzero"`
	SourceCluster   string         `bun:"source_cluster,nullzero"`
	SourceNamespace string         `bun:"source_namespace,nullzero"`
	SourceName      string         `bun:"source_name,nullzero"`
	SourceUID       string         `bun:"source_uid,type:uuid,nullzero"`
	Sequence        int64          `bun:"sequence,nullzero"`
	PreviousHash    []byte         `bun:"previous_hash,nullzero"`
	FirstAttempt    outboxapi.Time `bun:"first_attempt,notnull"`
	LastAttempt     outboxapi.Time `bun:"last_attempt,notnull"`
	Attempts        int64          `bun:"attempts,notnull"`
	// RedrivenAt is when the entry was redriven to a row; the dead letter stays.
	RedrivenAt *outboxapi.Time `bun:"redriven_at"`
}

// Text returns the original text of the entry, from either column.
func (d *DeadLetter) Text() []byte {
	if d.EntryBytes != nil {
		return d.EntryBytes
	}
	return []byte(d.Entry)
}
