package reportsapi

import "github.com/danielgtaylor/huma/v2"

// descriptions are of the schemas of reports, for whoever reads the document without the page. A test holds that none is missing.
var descriptions = map[string]string{
	"AI":                     "What the investigator found and recommended, and how that turned out.",
	"Alternative":            "An action that was considered and not taken, with its reason, and how it did elsewhere.",
	"Approval":               "Who was asked, who decided, when, and how long that took.",
	"Baseline":               "What the cohort took, in seconds.",
	"Bottleneck":             "The phase that took the longest, and the others beside it.",
	"Calibration":            "How often the investigator was right when it was as confident as here.",
	"Chain":                  "What recomputing the hashes gave.",
	"Checkpoint":             "A signed statement about the trail, made outside the database.",
	"Claim":                  "A sentence of the narrative, with the facts and rows that it rests on.",
	"ClockSkew":              "A pair of times whose order contradicts what must have come first. Nothing is corrected.",
	"Complete":               "How far the report can be relied on. Read it first.",
	"DeadLetter":             "An entry that could not become a row. No figure rests on it.",
	"Effectiveness":          "Whether the repair held.",
	"Entry":                  "An entry of a resource, with the text that was hashed.",
	"Event":                  "Something that happened, by whom, and in which row it stands.",
	"Evidence":               "A row, or a query, that figures rest on. ref is what refs name.",
	"Execution":              "What was executed: steps, conditions, retries, rollbacks.",
	"Hindsight":              "How an alternative did on the same alert and kind of target, where it was executed.",
	"HistoricCase":           "One remediation of the cohort.",
	"History":                "The cohort: comparable remediations in the 30 days before the signal. Times are in seconds.",
	"Item":                   "A remediation in a list with view=summary.",
	"Missing":                "Entries that must be there and are not.",
	"Narrative":              "The report in sentences.",
	"Notification":           "A notification on one channel, with its attempts.",
	"OtherRows":              "Rows under the id that do not belong to the remediation, of one resource or caller. Nothing rests on them.",
	"Part":                   "A phase's share of the whole time.",
	"Provenance":             "Which model wrote the narrative, from what.",
	"Question":               "A question of an auditor, and what the rows are evidence for.",
	"Recommendation":         "What would have saved time, and the figures that say so.",
	"RecordAdjustment":       "A deviation from the planned steps.",
	"RecordDeliveryAttempt":  "One attempt on one channel. duration is in milliseconds.",
	"RecordEvidence":         "What the investigator looked at.",
	"RecordModelConfig":      "The version of the investigator, and hashes of its input.",
	"RecordStep":             "A step of the workflow. duration is in seconds.",
	"RecordTarget":           "The workload as the record names it.",
	"RecordValidationResult": "One evaluation of a condition, before (pre) or after (post) the steps.",
	"RecurrenceReported":     "The same alert on the same target, received again within 7 days of the end.",
	"Counts":                 "How many results a batch has, by what became of them.",
	"Report":                 "A Remediation Analysis Report. Every figure has refs into evidence.",
	"Resource":               "A uid that a name has had.",
	"Span":                   "A phase, or a step or delivery within one. end, seconds and share are null while it is open.",
	"Statement":              "A sentence with the rows that it rests on.",
	"Summary":                "The outcome in a few fields, for whoever does not read on.",
	"Target":                 "The workload that the remediation is for.",
	"Timeline":               "What happened, and where the time went.",
	"Tokens":                 "Tokens that the model took and gave.",
}

// describe gives the schemas their descriptions.
func describe(schemas huma.Registry) {
	for name, s := range schemas.Map() {
		if s.Description == "" {
			s.Description = descriptions[name]
		}
	}
}
