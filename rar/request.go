package rar

import (
	"slices"

	"github.com/holdfast-dev/holdfast/models"
)

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

// Resources are the uids of the remediation's own resources, as far as Input.Rows, Resources and DeadLetters have or name them; none where no resource has the remediation's id.
func Resources(in *Input) []string {
	var uids []string
	if s := findSubject(in); !s.posted {
		for _, t := range s.trails {
			uids = append(uids, t.uid)
		}
	}
	return uids
}

// FailedChannels are the channels on which an attempt to deliver a notification of the remediation failed or had no answer.
func FailedChannels(in *Input) []string {
	var channels []string
	for _, t := range findSubject(in).trails {
		n, ok := lastOf[*models.NotificationRow](t)
		if !ok {
			continue
		}
		for _, a := range n.DeliveryAttempts {
			if attemptFailed(n.Purpose, a) && !slices.Contains(channels, a.Channel) {
				channels = append(channels, a.Channel)
			}
		}
	}
	return channels
}
