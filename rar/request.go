package rar

import "github.com/holdfast-dev/holdfast/models"

// Request is the newest row of the remediation's own request among Input.Rows: it says what the remediation is compared with. It is nil if there is none.
func Request(in *Input) *models.OrchestrationRow {
	row, _ := last[*models.OrchestrationRow](findSubject(in))
	return row
}

// Analysis is the newest row of the remediation's analysis among Input.Rows: it says when the investigation began. It is nil if there is none.
func Analysis(in *Input) *models.AIDecisionRow {
	row, _ := last[*models.AIDecisionRow](findSubject(in))
	return row
}
