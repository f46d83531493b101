package demo

import (
	"cmp"
	"fmt"
	"strings"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
)

// record is the record of an entry, as decoded JSON.
type record map[string]any

func (r record) text(field string) string {
	s, _, _ := unstructured.NestedString(r, field)
	return s
}

func (r record) number(field string) int64 {
	switch v := r[field].(type) {
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

// teller is the observer that tells of each new entry, in the words of somebody who watches.
type teller struct {
	narrator *narrator

	mu    sync.Mutex
	told  map[string]int64  // uid → newest sequence told
	names map[string]string // uid of a request → its workload
}

func newTeller(n *narrator) *teller {
	return &teller{narrator: n, told: map[string]int64{}, names: map[string]string{}}
}

// observe is an observer.
func (t *teller) observe(k kind, object *unstructured.Unstructured, deleted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	workload := t.workload(k, object)
	uid := string(object.GetUID())
	for _, e := range entriesOf(object) {
		if e.sequence <= t.told[uid] {
			continue
		}
		t.told[uid] = e.sequence
		if what, colour, detail, ok := describe(k, e); ok {
			t.narrator.step(workload, what, colour, detail)
		}
	}
	if deleted && k.name == "RemediationRequest" {
		t.narrator.step(workload, "request deleted", green, object.GetName())
	}
}

// workload is what the resource is about. A notification only knows its request.
func (t *teller) workload(k kind, object *unstructured.Unstructured) string {
	target, _, _ := unstructured.NestedString(object.Object, "spec", "target", "name")
	if k.name == "RemediationRequest" {
		t.names[string(object.GetUID())] = target
	}
	if target != "" {
		return target
	}
	uid, _, _ := unstructured.NestedString(object.Object, "spec", "remediationRef", "uid")
	return t.names[uid]
}

// describe says what an entry means; ok is false for those that add nothing to what others say. What is below a request is indented.
func describe(k kind, e entry) (what, colour, detail string, ok bool) {
	event, phase, r := e.text("event"), e.text("phase"), e.record()
	switch k.name {
	case "RemediationRequest":
		return describeRequest(event, phase, r)
	case "AIAnalysis":
		return describeAnalysis(event, r)
	case "WorkflowExecution":
		return describeWorkflow(event, r)
	default:
		if final, _ := e.fields["final"].(bool); !final {
			return "", "", "", false
		}
		what := map[string]string{"ApprovalNeeded": "  asked", "ApprovalReminder": "  reminded"}[r.text("purpose")]
		return cmp.Or(what, "  notification"), dim, strings.TrimPrefix(r.text("delivery_status")+" on "+texts(r, "channels"), " on "), true
	}
}

func describeRequest(event, phase string, r record) (what, colour, detail string, ok bool) {
	switch phase {
	case "Pending":
		signal, _, _ := unstructured.NestedString(r, "signal_context", "name")
		return phase, bold, "accepted: " + signal, true
	case "AwaitingApproval":
		return phase, yellow, map[bool]string{true: "still waiting for a decision", false: "waiting for a decision"}[event == "ApprovalReminderStarted"], true
	case "Executing", "Analyzing":
		return phase, bold, "", true
	case "Notifying":
		return "", "", "", false // its outcome comes with the end, a moment later
	case "Completed":
		return phase, green, ending(r), true
	case "Rejected", "Cancelled":
		return phase, yellow, ending(r), true
	case "Failed", "TimedOut":
		return phase, red, ending(r), true
	}
	return phase, "", event, true
}

func ending(r record) string {
	text := fmt.Sprintf("%s after %d s", r.text("outcome"), r.number("total_duration_seconds"))
	if s := r.number("bottleneck_duration_seconds"); s > 0 {
		text += fmt.Sprintf(" (%s took %d s)", r.text("bottleneck_phase"), s)
	}
	if why := r.text("failure_reason"); why != "" {
		text += ": " + why
	}
	return text
}

func describeAnalysis(event string, r record) (what, colour, detail string, ok bool) {
	switch event {
	case "Created", "InvestigationStarted":
		return "", "", "", false
	case "InvestigationCompleted":
		return "  analysis", dim, recommendation(r) + because(firstSentence(r.text("root_cause"))), true
	case "AutoApproved":
		return "  analysis", dim, recommendation(r) + ", approved by the policy" + because(firstSentence(r.text("root_cause"))), true
	case "Approved":
		return "  approved", green, "by " + r.text("approved_by") + because(r.text("approval_justification")), true
	case "Rejected":
		return "  rejected", yellow, "by " + r.text("rejected_by") + because(r.text("rejection_reason")), true
	}
	return "  analysis", dim, spaced(event), true
}

func recommendation(r record) string {
	if action := r.text("recommended_action"); action != "" {
		return fmt.Sprintf("%s, confidence %d %%", action, r.number("action_confidence"))
	}
	return "nothing to do"
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func firstSentence(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, end := range []string{". ", " - pod ", "; "} {
		if i := strings.Index(text, end); i > 0 {
			text = text[:i]
		}
	}
	return strings.TrimRight(text, ".")
}

func describeWorkflow(event string, r record) (what, colour, detail string, ok bool) {
	switch event {
	case "Created", "ValidationStarted", "ValidationPassed":
		return "", "", "", false
	case "StepCompleted", "StepFailed", "StepAttemptFailed", "StepRolledBack", "StepRollbackFailed":
		colour = dim
		if strings.Contains(event, "Failed") {
			colour = red
		} else if event == "StepRolledBack" {
			colour = yellow
		}
		return "  " + spaced(event), colour, stepText(r, event), true
	case "Completed":
		return "  workflow", green, fmt.Sprintf("%s: %s, effectiveness %d %%", r.text("workflow_id"), r.text("outcome"), r.number("effectiveness_score")), true
	case "Failed", "TimedOut", "Cancelled":
		return "  workflow", red, fmt.Sprintf("%s: %s, steps rolled back: %d", r.text("workflow_id"), r.text("outcome"), r.number("rollbacks_performed")), true
	}
	return "  workflow", yellow, spaced(event) + because(r.text("failure_reason")), true
}

// stepText is about the step that the event is about: the newest, or the one that was rolled back.
func stepText(r record, event string) string {
	steps, _, _ := unstructured.NestedSlice(r, "steps_executed")
	for i := len(steps) - 1; i >= 0; i-- {
		step, _ := steps[i].(map[string]any)
		s := record(step)
		if event == "StepRolledBack" && s.text("status") != "rolled-back" {
			continue
		}
		message := s.text("message")
		switch _, undone, ok := strings.Cut(message, " | rollback: "); {
		case ok:
			message = undone
		case s.text("action") == "Wait" && event == "StepCompleted":
			return s.text("name") // its message repeats the condition
		}
		return s.text("name") + because(message)
	}
	return ""
}

// spaced turns StepRolledBack into "step rolled back".
func spaced(event string) string {
	var b strings.Builder
	for i, c := range event {
		if i > 0 && c >= 'A' && c <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteString(strings.ToLower(string(c)))
	}
	return b.String()
}

func texts(r record, field string) string {
	list, _, _ := unstructured.NestedStringSlice(r, field)
	return strings.Join(list, ", ")
}

// entry is one element of status.outbox.entries.
type entry struct {
	sequence int64
	fields   map[string]any
}

func (e entry) text(field string) string {
	s, _, _ := unstructured.NestedString(e.fields, field)
	return s
}

func (e entry) record() record {
	r, _, _ := unstructured.NestedMap(e.fields, "record")
	return r
}

func entriesOf(object *unstructured.Unstructured) []entry {
	texts, _, _ := unstructured.NestedStringSlice(object.Object, "status", "outbox", "entries")
	entries := make([]entry, 0, len(texts))
	for _, text := range texts {
		fields := map[string]any{}
		if utiljson.Unmarshal([]byte(text), &fields) != nil {
			continue
		}
		sequence, _, _ := unstructured.NestedInt64(fields, "sequence")
		entries = append(entries, entry{sequence, fields})
	}
	return entries
}
