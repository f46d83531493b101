package gateway

import "fmt"

// What becomes of an alert, as answers, metrics and docs/gateway.md name it.
const (
	created    = "created"     // its request was created
	open       = "open"        // its incident has an open request
	isResolved = "resolved"    // it does not fire
	again      = "again"       // not known; Alertmanager is to send it again
	malformed  = "malformed"   // the alert or a label cannot be read
	notEnabled = "not_enabled" // the namespace does not take part, or is gone
	noTarget   = "no_target"   // its labels name no workload, or several
	unsuited   = "unsupported" // it is about something that no workflow changes
	gone       = "gone"        // what it names is not there (any more)
	isExporter = "exporter"    // the pod reports about others
	ended      = "ended"       // it began before the last request of its incident ended
	limited    = "limit"       // the namespace has as many open requests as it may
	account    = "account"     // the gateway may not use the account that the ConfigMap names
	refused    = "refused"     // the API server refuses the request
	occupied   = "occupied"    // other requests have the names that its request could get
)

// outcomes are all of them, for the metrics.
var outcomes = []string{created, open, isResolved, again, malformed, notEnabled, noTarget, unsuited, gone, isExporter, ended, limited, account, refused, occupied}

// leftOut is why an alert makes no request.
type leftOut struct{ result, detail string }

func leave(result, format string, args ...any) *leftOut {
	return &leftOut{result, fmt.Sprintf(format, args...)}
}

// outcome is that of an alert that was left out for that reason; none for nil.
func (l *leftOut) outcome() Outcome {
	if l == nil {
		return Outcome{}
	}
	return Outcome{Result: l.result, Detail: l.detail}
}

// Outcome is what became of an alert.
type Outcome struct {
	// Alert is the fingerprint that Alertmanager gave it.
	Alert     string `json:"alert,omitempty"`
	Result    string `json:"result"`
	Namespace string `json:"namespace,omitempty"`
	// Request is the RemediationRequest: the new one, the open one, or the one that has ended.
	Request string `json:"request,omitempty"`
	// Detail is why there is no new request.
	Detail string `json:"detail,omitempty"`
}

// Answer is the body of an answer.
type Answer struct {
	// Alerts are in the order of the message.
	Alerts []Outcome `json:"alerts"`
	// TruncatedAlerts is how many alerts Alertmanager left out of the message.
	TruncatedAlerts uint64 `json:"truncatedAlerts,omitempty"`
}
