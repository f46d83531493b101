package reportsapi

import "github.com/danielgtaylor/huma/v2"

// descriptions are of the schemas of reports, for whoever reads the document without the page. A test holds that none is missing.
var descriptions = map[string]string{
	"AI":                     "What the investigator found and recommended, and how that turned out.",
	"AIGroup":                "What the confidence of one investigator and model was worth, or of all. Confidences are percentages; rates are from 0 to 1.",
	"AITrend":                "What the confidence of investigators was worth. Only executed actions have a label.",
	"Alternative":            "An action that was considered and not taken, with its reason, and how it did elsewhere.",
	"Approval":               "Who was asked, who decided, when, and how long that took.",
	"ApprovalSlot":           "An hour of the day (0 to 23) or a weekday (1 is Monday) in UTC, by when people were asked.",
	"ApprovalTrend":          "How long people took to decide, and how often they refused.",
	"Baseline":               "What the cohort took, in seconds.",
	"Bottleneck":             "The phase that took the longest, and the others beside it.",
	"BottleneckGroup":        "A phase, and the time of the remediations in which it took the longest.",
	"BottleneckTrend":        "Where the time went, the most first.",
	"Brier":                  "The mean squared difference between confidence and label, and its parts. 0 is perfect.",
	"Calibration":            "How often the investigator was right when it was as confident as here.",
	"Chain":                  "What recomputing the hashes gave.",
	"Change":                 "A percentile minus that of the window before, in seconds, with the bootstrap's interval.",
	"Checkpoint":             "A signed statement about the trail, made outside the database.",
	"Claim":                  "A sentence of the narrative, with the facts and rows that it rests on.",
	"ClockSkew":              "A pair of times whose order contradicts what must have come first. Nothing is corrected.",
	"Complete":               "How far the report can be relied on. Read it first.",
	"DeadLetter":             "An entry that could not become a row. No figure rests on it.",
	"DeliveryChannel":        "How deliveries on one channel went.",
	"DeliveryTrend":          "Deliveries by channel, the most failed attempts first.",
	"Effectiveness":          "Whether the repair held.",
	"Entry":                  "An entry of a resource, with the text that was hashed.",
	"Event":                  "Something that happened, by whom, and in which row it stands.",
	"Evidence":               "A row, or a query, that figures rest on. ref is what refs name.",
	"Execution":              "What was executed: steps, conditions, retries, rollbacks.",
	"Hindsight":              "How an alternative did on the same alert and kind of target, where it was executed.",
	"HistoricCase":           "One remediation of the cohort.",
	"History":                "The cohort: comparable remediations in the 30 days before the signal. Times are in seconds.",
	"Item":                   "A remediation in a list with view=summary.",
	"LossGroup":              "One alert or one target: how many remediations, and how much time they took.",
	"LossTrend":              "Alerts or targets by count and by time lost.",
	"Missing":                "Entries that must be there and are not.",
	"Narrative":              "The report in sentences.",
	"Notification":           "A notification on one channel, with its attempts.",
	"OtherRows":              "Rows under the id that do not belong to the remediation, of one resource or caller. Nothing rests on them.",
	"OutcomeGroup":           "Remediations with one outcome; other are those beyond the first 20. p50 and p90 are seconds from signal to completion.",
	"OutcomeTrend":           "Remediations by outcome.",
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
	"RecurrencePoint":        "The share of repairs that come back within a window, estimated where windows are open.",
	"RecurrenceReported":     "The same alert on the same target, received again within 7 days of the end.",
	"RecurrenceStep":         "A step of the curve: the share that held until after so many seconds.",
	"RecurrenceTrend":        "How long repairs held.",
	"RecurrentAlert":         "How many repairs of one alert came back.",
	"ReliabilityBin":         "Decisions with a confidence of the same ten percent, and how many of them were right.",
	"RepairBefore":           "The time to repair in the window before.",
	"RepairBucket":           "The time to repair of one day, week or month.",
	"RepairTrend":            "The time to repair: seconds from signal to completion of what was remediated.",
	"Counts":                 "How many results a batch has, by what became of them.",
	"Report":                 "A Remediation Analysis Report. Every figure has refs into evidence.",
	"Resource":               "A uid that a name has had.",
	"Span":                   "A phase, or a step or delivery within one. end, seconds and share are null while it is open.",
	"Statement":              "A sentence with the rows that it rests on.",
	"Summary":                "The outcome in a few fields, for whoever does not read on.",
	"Target":                 "The workload that the remediation is for.",
	"ThresholdCase":          "What automatic approval from one confidence on would have saved, and what of it failed.",
	"ThresholdTrend":         "What automatic approval would have saved, by threshold.",
	"Timeline":               "What happened, and where the time went.",
	"Tokens":                 "Tokens that the model took and gave.",
	"TrendFilters":           "What was asked for; empty is all.",
	"TrendTarget":            "A workload.",
	"Trends":                 "What the remediations of a window show together. Every section says which rows count, and has refs into evidence.",
	"WorkflowGroup":          "How one workflow did.",
	"WorkflowTrend":          "Workflows, the most executions first.",
}

// describe gives the schemas and their fields descriptions.
func describe(schemas huma.Registry) {
	for name, s := range schemas.Map() {
		if s.Description == "" {
			s.Description = descriptions[name]
		}
		for field, of := range s.Properties {
			if of.Ref == "" && of.Description == "" {
				of.Description = propertyOf(name, field)
			}
		}
	}
}
