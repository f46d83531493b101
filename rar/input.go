package rar

import (
	"time"

	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Windows of the questions that reach beyond one remediation. The SQL in postgres/queries takes the instants that follow from them as parameters.
const (
	// CohortWindow before the signal is what a remediation is compared with.
	CohortWindow = 30 * 24 * time.Hour
	// RecurrenceWindow after the end of a remediation is how long its alert is looked for.
	RecurrenceWindow = 7 * 24 * time.Hour
	// MaxCases is how many comparable remediations before this one are read one by one, MaxLaterCases how many after it: so many make a report the same work in a trail of any size. fewCases are
	// enough where nobody was asked, nothing timed out and nothing was retried in vain.
	MaxCases      = 15
	MaxLaterCases = 5
	fewCases      = 8
)

// Input is all that a report is made of. Everything in it is what the reader may see, as of AsOf. The order of its lists does not matter.
type Input struct {
	// RemediationID is the id that was asked for.
	RemediationID string
	// AsOf is the instant that the report is of: rows recorded later are not in the Input, windows that end later are not over.
	AsOf time.Time
	// Rows are the rows of the four tables under RemediationID: of the remediation's resources (report_rows.sql), or what was posted where there are none (report_posted.sql). A row without a
	// sequence was posted over REST. Rows of others may be among them, and are set apart.
	Rows []models.Row
	// Others count the rows under RemediationID that are not in Rows (report_rows.sql, or report_others.sql where there are many): there may be any number.
	Others []Other
	// Resources are the rows of resource_audit, DeadLetters the entries that could not become rows, of the same resources and of the children that they name (report_beside.sql).
	Resources   []*models.ResourceRow
	DeadLetters []models.DeadLetter
	// Recurrences are later requests of the same fingerprint and target, received from the end of this one on for RecurrenceWindow (recurrence.sql).
	Recurrences []Recurrence
	// Cohort counts the newest that ended in the CohortWindow before the signal, of the same alert and kind of target (cohort.sql); nil if it was not read.
	Cohort *Cohort
	// Earlier are the newest MaxCases of that cohort. Later are the newest MaxLaterCases that were received after this one ended, up to AsOf and at most
	// CohortWindow later (both cohort_cases.sql).
	Earlier, Later []Case
	// Deliveries is how channels that failed here did in the remediations of Earlier (cohort_deliveries.sql).
	Deliveries []Deliveries
	// Checkpoint is the newest signed checkpoint that covers the rows; nil if there is none.
	Checkpoint *Checkpoint
	// Narrative replaces the narrative of the rules; nil for that.
	Narrative *Narrative
}

// Other is how many rows under the id a resource has that is not the remediation's, or a caller who posted (then SourceUID is empty).
type Other struct {
	Table, Namespace, Name, SourceUID, RecordedBy string
	Rows                                          int64
	// Rest is true for all those who are not named, AtLeast where there are more rows than were counted.
	Rest, AtLeast bool
}

// Recurrence is one row of recurrence.sql.
type Recurrence struct {
	ID               string
	RemediationID    string
	SourceCluster    string
	SourceNamespace  string
	SourceUID        string
	Sequence         int64
	EntryHash        []byte
	SignalReceivedAt outboxapi.Time
}

// Cohort is the row of cohort.sql. Times are in seconds, from signal to completion. Mean, P50 and P90 are nil if N is 0.
type Cohort struct {
	N, Success     int64
	Mean, P50, P90 *float64
	// NotSlower is how many took at most as long as this remediation.
	NotSlower int64
	// Most is how many are counted at most; 0 if there is no bound.
	Most int64
}

// Case is one row of cohort_cases.sql: a comparable remediation that has ended, and what its analysis and its execution say. CameBackAt and
// what the execution says are there where a report Needs them. Fields of an analysis or an execution that is not there are zero; pointers are nil where the column is null.
type Case struct {
	Row
	RemediationID    string
	Outcome          string
	SignalReceivedAt outboxapi.Time
	CompletedAt      outboxapi.Time
	// CameBackAt is when the same fingerprint and target was received again, within RecurrenceWindow of the end; nil if it was not.
	CameBackAt *outboxapi.Time

	// Analysis is the last row of the analysis.
	Analysis                Row
	Investigator            string
	Model                   string
	RecommendedAction       string
	ActionConfidence        *float64
	InvestigationSeconds    *float64
	ApprovalStatus          string
	ApprovalRequestedAt     *outboxapi.Time // nil if no person was asked
	ApprovalDurationSeconds *int64

	// WorkflowID is the action that was recommended, if a workflow was started: the controllers start no other. ExecutionSeconds is from there to the end of the remediation.
	WorkflowID       string
	ExecutionSeconds *int64
	// Execution is the last row of the execution.
	Execution            Row
	ExecutionOutcome     string
	RetriesPerformed     *int64
	PostConditionsPassed *bool
}

// Row is where a row is: what evidence needs of it. SourceUID, Sequence and EntryHash are empty where they are null.
type Row struct {
	ID        string
	SourceUID string
	Sequence  int64
	EntryHash []byte
}

// Deliveries is one row of cohort_deliveries.sql: of N deliveries by Channel, each one notification, Failed had an attempt that failed or had no answer, and Lost none that succeeded.
type Deliveries struct {
	Channel         string
	N, Failed, Lost int64
}

// Checkpoint is a signed statement about the trail, made outside the database.
type Checkpoint struct {
	Name string         `json:"name"`
	Size int64          `json:"size"`
	Time outboxapi.Time `json:"time"`
}
