package rar

import (
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// Template is the version of the rules and renderings. It changes with whatever changes the bytes of a report: caches of reports depend on it.
const Template = "1"

// Report is one Remediation Analysis Report. Its JSON names are a contract: fields may be added, none changes its meaning. Times are UTC with microseconds. Seconds are
// numbers with at most three decimals. Shares are of the total time, from 0 to 1. Lists are empty rather than null; sections that do not apply are null.
type Report struct {
	RemediationID string         `json:"remediation_id"`
	AsOf          outboxapi.Time `json:"as_of"`
	Template      string         `json:"template"`
	Complete      Complete       `json:"complete"`
	Summary       Summary        `json:"summary"`
	Timeline      Timeline       `json:"timeline"`
	// Bottleneck is null while the remediation is open, and if no row tells when it began and ended.
	Bottleneck      *Bottleneck      `json:"bottleneck"`
	AI              *AI              `json:"ai"`
	Approval        *Approval        `json:"approval"`
	Execution       *Execution       `json:"execution"`
	Effectiveness   *Effectiveness   `json:"effectiveness"`
	Notifications   []Notification   `json:"notifications"`
	History         *History         `json:"history"`
	Recommendations []Recommendation `json:"recommendations"`
	Compliance      []Question       `json:"compliance"`
	Narrative       Narrative        `json:"narrative"`
	Evidence        []Evidence       `json:"evidence"`
	// OtherRows are rows under this id that do not belong to the remediation. Nothing in the report rests on them.
	OtherRows []OtherRows `json:"other_rows"`
}

// States of a record.
const (
	// StateFinal says that every resource of the remediation closed its record and all of it is there, unchanged.
	StateFinal = "final"
	// StateOpen says that the remediation goes on, and nothing is missing so far.
	StateOpen = "open"
	// StatePartial says that something is missing, changed, or cannot be checked.
	StatePartial = "partial"
)

// Complete says how far the report can be relied on.
type Complete struct {
	State string `json:"state"`
	// Reasons are why the state is not final, in plain words.
	Reasons     []Statement  `json:"reasons"`
	Missing     []Missing    `json:"missing"`
	DeadLetters []DeadLetter `json:"dead_letters"`
	ClockSkew   []ClockSkew  `json:"clock_skew"`
	Chain       Chain        `json:"chain"`
}

// Statement is a sentence and the rows that it rests on.
type Statement struct {
	Text string   `json:"text"`
	Refs []string `json:"refs"`
}

// Missing is a part of the record that is not there. From and To are the first and the last sequence of a gap, 0 where a whole resource or its end is missing.
type Missing struct {
	Resource  string   `json:"resource"`
	SourceUID string   `json:"source_uid"`
	From      int64    `json:"from,omitempty"`
	To        int64    `json:"to,omitempty"`
	Text      string   `json:"text"`
	Refs      []string `json:"refs"`
}

// DeadLetter is an entry that could not become a row.
type DeadLetter struct {
	SourceUID string   `json:"source_uid"`
	Sequence  int64    `json:"sequence"`
	Kind      string   `json:"kind"`
	Error     string   `json:"error"`
	Redriven  bool     `json:"redriven"`
	Refs      []string `json:"refs"`
}

// ClockSkew is a pair of times whose order contradicts what must have come first. Seconds is by how much.
type ClockSkew struct {
	Text    string   `json:"text"`
	Seconds float64  `json:"seconds"`
	Refs    []string `json:"refs"`
}

// Chain is what recomputing the hashes of the texts gave. Rows counts the entries that were checked. Verified is false if one does not agree, and if there was none to check.
type Chain struct {
	Verified   bool        `json:"verified"`
	Rows       int         `json:"rows"`
	Faults     []Statement `json:"faults"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
}

// Summary is for whoever reads no further. TotalSeconds runs from signal to completion, null while it is open.
type Summary struct {
	Outcome      string         `json:"outcome"` // remediated, no-action, rejected, failed, timed-out, cancelled; open or unknown
	Reason       string         `json:"reason,omitempty"`
	Severity     string         `json:"severity"`
	Alert        string         `json:"alert"`
	Target       Target         `json:"target"`
	ReceivedAt   outboxapi.Time `json:"received_at"`
	CompletedAt  outboxapi.Time `json:"completed_at"`
	TotalSeconds *float64       `json:"total_seconds"`
	Bottleneck   string         `json:"bottleneck"`
	// Held is whether the repair held for the longest window that is over: yes, no, too-early, or empty if nothing was repaired.
	Held    string            `json:"held"`
	OneLine string            `json:"one_line"`
	Labels  map[string]string `json:"labels,omitempty"`
	// Annotations are those of the alert.
	Annotations map[string]string `json:"annotations,omitempty"`
	RequestedBy string            `json:"requested_by,omitempty"`
	CancelledBy string            `json:"cancelled_by,omitempty"`
	Refs        []string          `json:"refs"`
}

// Target is the workload that the remediation is for.
type Target struct {
	APIVersion string `json:"api_version"`
	Kind       string `json:"kind"`
	Cluster    string `json:"cluster,omitempty"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
}

// Timeline is what happened.
type Timeline struct {
	Events []Event `json:"events"`
	Spans  []Span  `json:"spans"`
}

// Event is one thing that happened. OffsetMS is from the signal; it is negative for what bears an earlier time.
type Event struct {
	At       outboxapi.Time `json:"at"`
	OffsetMS int64          `json:"offset_ms"`
	Actor    string         `json:"actor"`
	Event    string         `json:"event"`
	Phase    string         `json:"phase"`
	Text     string         `json:"text"`
	Refs     []string       `json:"refs"`
}

// Span is a length of time. End and Seconds are null while it is open. Share is of the total time; only the phases, which do not overlap, have one: steps and deliveries lie within them.
type Span struct {
	Lane    string          `json:"lane"`
	Name    string          `json:"name"`
	Start   outboxapi.Time  `json:"start"`
	End     *outboxapi.Time `json:"end"`
	Seconds *float64        `json:"seconds"`
	Share   *float64        `json:"share"`
	// Status is that of a step or delivery, empty for a phase.
	Status string   `json:"status,omitempty"`
	Refs   []string `json:"refs"`
}

// Bottleneck is where the time went. Phase is the one that took the longest.
type Bottleneck struct {
	Phase     string    `json:"phase"`
	Name      string    `json:"name"`
	Seconds   float64   `json:"seconds"`
	Share     float64   `json:"share"`
	Breakdown []Part    `json:"breakdown"`
	Baseline  *Baseline `json:"baseline"`
	// ExcessSeconds is what the total took beyond the baseline's mean, null without a baseline.
	ExcessSeconds *float64 `json:"excess_seconds"`
	Refs          []string `json:"refs"`
}

// Part is a phase of the breakdown. The parts add up to the total, or to less where the end of a phase is not known.
type Part struct {
	Phase   string   `json:"phase"`
	Name    string   `json:"name"`
	Seconds float64  `json:"seconds"`
	Share   float64  `json:"share"`
	Refs    []string `json:"refs"`
}

// Baseline is the total time of the cohort.
type Baseline struct {
	N    int64    `json:"n"`
	Mean *float64 `json:"mean"`
	P50  *float64 `json:"p50"`
	P90  *float64 `json:"p90"`
	Refs []string `json:"refs"`
}

// Verdicts on a recommendation.
const (
	VerdictCorrect     = "correct"
	VerdictIncorrect   = "incorrect"
	VerdictUnproven    = "unproven"
	VerdictNotExecuted = "not-executed"
)

// AI is what the investigator found and recommended, and how it turned out. Confidences are percentages, 0 to 100.
type AI struct {
	Investigator        string              `json:"investigator"`
	Model               string              `json:"model"`
	ModelConfig         *models.ModelConfig `json:"model_config,omitempty"`
	RootCause           string              `json:"root_cause"`
	RootCauseConfidence *float64            `json:"root_cause_confidence"`
	Action              string              `json:"action"`
	ActionConfidence    *float64            `json:"action_confidence"`
	Parameters          map[string]string   `json:"parameters"`
	Rationale           string              `json:"rationale"`
	NoActionReason      string              `json:"no_action_reason,omitempty"`
	FailureReason       string              `json:"failure_reason,omitempty"`
	Evidence            []models.Evidence   `json:"evidence"`
	Attempts            *int64              `json:"attempts"`
	Tokens              *Tokens             `json:"tokens"`
	Seconds             *float64            `json:"seconds"`
	Verdict             string              `json:"verdict"`
	VerdictReason       string              `json:"verdict_reason"`
	VerdictRefs         []string            `json:"verdict_refs"`
	Calibration         *Calibration        `json:"calibration"`
	Alternatives        []Alternative       `json:"alternatives"`
	Refs                []string            `json:"refs"`
}

// Tokens are those of the model, null where it did not count them.
type Tokens struct {
	Prompt     *int64 `json:"prompt"`
	Completion *int64 `json:"completion"`
}

// Calibration is how often this investigator and model were right when they were as confident as here. Observed and Interval (Wilson, 95 %) are from 0 to 1.
type Calibration struct {
	Bin      string      `json:"bin"`
	Observed *float64    `json:"observed"`
	Interval *[2]float64 `json:"interval"`
	// N is how many decisions of the bin have a verdict, Decisions how many were executed.
	N         int64    `json:"n"`
	Decisions int64    `json:"decisions"`
	Text      string   `json:"text"`
	Refs      []string `json:"refs"`
}

// Alternative is an action that was weighed and not recommended.
type Alternative struct {
	Action         string    `json:"action"`
	WorkflowID     string    `json:"workflow_id,omitempty"`
	Confidence     float64   `json:"confidence"`
	RejectedReason string    `json:"rejected_reason"`
	Hindsight      Hindsight `json:"hindsight"`
	Refs           []string  `json:"refs"`
}

// Hindsights.
const (
	HindsightRightlyNot = "rightly-not-taken"
	HindsightBetter     = "might-have-been-better"
	HindsightUnknown    = "unknown"
)

// Hindsight is how an alternative did on the same alert, where it was executed. Success and Interval (Wilson, 95 %) are null if it never was.
type Hindsight struct {
	Verdict  string      `json:"verdict"`
	N        int64       `json:"n"`
	Success  int64       `json:"success"`
	Rate     *float64    `json:"rate"`
	Interval *[2]float64 `json:"interval"`
	Text     string      `json:"text"`
	Refs     []string    `json:"refs"`
}

// Approval is who decided, and how long that took.
type Approval struct {
	Required      *bool           `json:"required"`
	Mode          string          `json:"mode"`
	Threshold     *float64        `json:"threshold"`
	Confidence    *float64        `json:"confidence"`
	RequestedAt   *outboxapi.Time `json:"requested_at"`
	Deadline      *outboxapi.Time `json:"deadline"`
	DecidedAt     *outboxapi.Time `json:"decided_at"`
	Status        string          `json:"status"` // approved, rejected, auto-approved, expired; pending or empty
	By            string          `json:"by"`
	Method        string          `json:"method"`
	Justification string          `json:"justification"`
	WaitSeconds   *float64        `json:"wait_seconds"`
	Refs          []string        `json:"refs"`
}

// Execution is what was done.
type Execution struct {
	WorkflowID           string              `json:"workflow_id"`
	Version              string              `json:"version"`
	ActedAs              string              `json:"acted_as"`
	Outcome              string              `json:"outcome"`
	FailureReason        string              `json:"failure_reason,omitempty"`
	StartedAt            outboxapi.Time      `json:"started_at"`
	CompletedAt          *outboxapi.Time     `json:"completed_at"`
	Seconds              *float64            `json:"seconds"`
	Steps                []models.Step       `json:"steps"`
	StepsTotal           int64               `json:"steps_total"`
	StepsSucceeded       int64               `json:"steps_succeeded"`
	StepsFailed          int64               `json:"steps_failed"`
	Validations          []Validation        `json:"validations"`
	PreConditionsPassed  *bool               `json:"pre_conditions_passed"`
	PostConditionsPassed *bool               `json:"post_conditions_passed"`
	Retries              int64               `json:"retries"`
	Rollbacks            int64               `json:"rollbacks"`
	Adjustments          []models.Adjustment `json:"adjustments"`
	Refs                 []string            `json:"refs"`
}

// Validation is one evaluation of a condition.
type Validation = models.ValidationResult

// Whether a repair held for a window.
const (
	HeldYes      = "yes"
	HeldNo       = "no"
	HeldTooEarly = "too-early"
)

// Effectiveness is whether the repair worked, and held. Held has the keys 1h, 24h and 7d; it is empty if nothing was repaired.
type Effectiveness struct {
	Score          *float64             `json:"score"`
	PostConditions *bool                `json:"post_conditions"`
	Held           map[string]string    `json:"held"`
	Recurrences    []RecurrenceReported `json:"recurrences"`
	Refs           []string             `json:"refs"`
}

// RecurrenceReported is a later remediation of the same fingerprint and target.
type RecurrenceReported struct {
	RemediationID string         `json:"remediation_id"`
	ReceivedAt    outboxapi.Time `json:"received_at"`
	AfterSeconds  float64        `json:"after_seconds"`
	Refs          []string       `json:"refs"`
}

// Notification is one channel of a notification. DeliveredAt is null if nothing was delivered, Seconds is from the request to the delivery.
type Notification struct {
	Channel     string                   `json:"channel"`
	Purpose     string                   `json:"purpose"`
	Subject     string                   `json:"subject"`
	Attempts    []models.DeliveryAttempt `json:"attempts"`
	DeliveredAt *outboxapi.Time          `json:"delivered_at"`
	Seconds     *float64                 `json:"seconds"`
	Status      string                   `json:"status"`
	Refs        []string                 `json:"refs"`
}

// History is how comparable remediations went. Interval is Wilson's, 95 %. Mean, P50 and P90 are seconds from signal to completion. Percentile is the share, 0 to 1, of them that took at
// most as long as this one, null while it is open.
type History struct {
	Definition string      `json:"definition"`
	N          int64       `json:"n"`
	Success    int64       `json:"success"`
	Rate       *float64    `json:"rate"`
	Interval   *[2]float64 `json:"interval"`
	Mean       *float64    `json:"mean"`
	P50        *float64    `json:"p50"`
	P90        *float64    `json:"p90"`
	Percentile *float64    `json:"percentile"`
	// Longer is by which share of the mean this one took longer (negative: shorter), null while it is open.
	Longer *float64       `json:"longer"`
	Text   string         `json:"text"`
	Cases  []HistoricCase `json:"cases"`
	Refs   []string       `json:"refs"`
}

// HistoricCase is one comparable remediation.
type HistoricCase struct {
	RemediationID string         `json:"remediation_id"`
	Outcome       string         `json:"outcome"`
	CompletedAt   outboxapi.Time `json:"completed_at"`
	Seconds       float64        `json:"seconds"`
	WorkflowID    string         `json:"workflow_id,omitempty"`
	Refs          []string       `json:"refs"`
}

// Recommendation is what would have helped. Priority counts from 1. SavingSeconds is what it would have saved here, null where that is unknown.
type Recommendation struct {
	Priority      int      `json:"priority"`
	Rule          string   `json:"rule"`
	Text          string   `json:"text"`
	SavingSeconds *float64 `json:"saving_seconds"`
	Basis         string   `json:"basis"`
	Origin        string   `json:"origin"` // rule or model
	Refs          []string `json:"refs"`
}

// Question of compliance. The answer is evidence for somebody who judges; it judges nothing.
type Question struct {
	ID       string   `json:"id"`
	Question string   `json:"question"`
	Answer   string   `json:"answer"`
	Evidence []string `json:"evidence"`
}

// States of a narrative.
const (
	NarrativeNone      = "none"
	NarrativeGenerated = "generated"
	NarrativeRules     = "rules"
	NarrativeRefused   = "refused"
)

// Narrative is the report told in sentences, each of which cites facts.
type Narrative struct {
	Status string `json:"status"`
	// Reason says why it is that of the rules, where a language model was asked for: unavailable, over-quota, timeout, busy, paused, daily-limit, too-large, refused, unusable, unsupported or not-allowed.
	Reason string `json:"reason,omitempty"`
	// Provenance is the model that wrote it, or that was asked: null where none was.
	Provenance *Provenance `json:"provenance"`
	Claims     []Claim     `json:"claims"`
	// Dropped counts claims of a model that were not supported.
	Dropped int `json:"dropped,omitempty"`
}

// Provenance of a narrative that a model wrote.
type Provenance struct {
	Model            string `json:"model"`
	Prompt           string `json:"prompt"`
	InputSHA256      string `json:"input_sha256"`
	OutputSHA256     string `json:"output_sha256"`
	PromptTokens     int64  `json:"prompt_tokens"`
	CompletionTokens int64  `json:"completion_tokens"`
}

// Claim is a sentence. Kind is observation, inference or recommendation; Facts are those that it cites, and Refs the rows of these.
type Claim struct {
	Section string   `json:"section"`
	Kind    string   `json:"kind"`
	Text    string   `json:"text"`
	Facts   []string `json:"facts"`
	Refs    []string `json:"refs"`
}

// Fact is one value of the report, for sentences to cite. Value is how it is written, Unit what it is.
type Fact struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Value string   `json:"value"`
	Unit  string   `json:"unit"`
	Refs  []string `json:"refs"`
}

// Evidence is a row, or a query over many rows, that something in the report rests on.
type Evidence struct {
	Ref       string `json:"ref"`
	Table     string `json:"table"`
	ID        string `json:"id,omitempty"`
	SourceUID string `json:"source_uid,omitempty"`
	Sequence  int64  `json:"sequence,omitempty"`
	// EntryHash is 64 hex digits, empty for what has no hash.
	EntryHash  string `json:"entry_hash,omitempty"`
	Event      string `json:"event,omitempty"`
	Phase      string `json:"phase,omitempty"`
	RecordedAt string `json:"recorded_at,omitempty"`
	RecordedBy string `json:"recorded_by,omitempty"`
	// Query is the file in postgres/queries whose answer this is, with what it was asked.
	Query string `json:"query,omitempty"`
}

// OtherRows are rows under the id of a remediation that do not belong to it: of one resource, or of one caller who posted them.
type OtherRows struct {
	Table      string `json:"table"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name,omitempty"`
	SourceUID  string `json:"source_uid,omitempty"`
	RecordedBy string `json:"recorded_by,omitempty"`
	Rows       int    `json:"rows"`
	// AtLeast says that there are more rows than were counted.
	AtLeast bool   `json:"at_least,omitempty"`
	Why     string `json:"why"`
}
