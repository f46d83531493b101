package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// incident is what a request is about: a workload of a namespace.
type incident struct {
	namespace string
	target    v1alpha1.Target
}

// fingerprint identifies the incident, in any cluster.
func (n incident) fingerprint() string {
	return hash("holdfast.dev/gateway", n.namespace, n.target.APIVersion, n.target.Kind, n.target.Name)
}

// requestName is the name of the request that follows the one with the uid last; "" is for the first. Every gateway comes to the same name, so only one creates it.
func (n incident) requestName(last types.UID) string {
	prefix := strings.TrimRight(n.target.Name[:min(len(n.target.Name), 40)], "-.")
	return prefix + "-" + hash(n.fingerprint(), string(last))[:20]
}

// hash is SHA-256 of the texts as a JSON list, so that no two lists are written alike.
func hash(parts ...string) string {
	text, _ := json.Marshal(parts) //nolint:errchkjson // texts always can be
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// What a request has in signal.annotations beside the alert's own.
const (
	annotationFingerprint  = "holdfast.dev/alert-fingerprint"
	annotationSeverity     = "holdfast.dev/alert-severity"
	annotationStartsAt     = "holdfast.dev/alert-starts-at"
	annotationGeneratorURL = "holdfast.dev/alert-generator-url"
	annotationLeftOut      = "holdfast.dev/alert-left-out"
)

// Limits of the API: characters of texts, and how many labels and annotations.
const (
	maxName        = 253
	maxKey         = 256
	maxLabel       = 256
	maxLabels      = 64
	maxAnnotation  = 1024
	maxAnnotations = 32
)

// requestOf is the request that an alert makes under a rule.
func requestOf(n incident, name string, a *alert, r *Rule, received time.Time) *v1alpha1.RemediationRequest {
	alertName := clean(a.Labels["alertname"], maxName)
	if alertName == "" {
		alertName = "unnamed"
	}
	channels := r.Notification.Channels
	if channels == nil {
		channels = []v1alpha1.Channel{} // none, where a missing list would become the console
	}
	return &v1alpha1.RemediationRequest{
		ObjectMeta: metav1.ObjectMeta{Namespace: n.namespace, Name: name},
		Spec: v1alpha1.RemediationRequestSpec{
			Signal: v1alpha1.Signal{
				Fingerprint: n.fingerprint(), Name: alertName, Severity: severityOf(a.Labels["severity"]), Source: "alertmanager",
				ReceivedTime: outboxapi.NewTime(received), Labels: labelsOf(a.Labels), Annotations: annotationsOf(a),
			},
			Target:             n.target,
			ServiceAccountName: r.ServiceAccountName,
			Approval:           r.Approval,
			Notification:       v1alpha1.NotificationPolicy{Channels: channels},
			Timeouts:           r.Timeouts,
		},
	}
}

// severities are the usual words of alerting rules for the three that Holdfast has.
var severities = map[string]string{
	"critical": "critical", "crit": "critical", "page": "critical", "fatal": "critical", "emergency": "critical", "disaster": "critical", "alert": "critical", "error": "critical", "high": "critical", "p1": "critical", "sev1": "critical",
	"warning": "warning", "warn": "warning", "ticket": "warning", "average": "warning", "medium": "warning", "minor": "warning", "p2": "warning", "sev2": "warning", "p3": "warning", "sev3": "warning",
	"info": "info", "information": "info", "informational": "info", "notice": "info", "none": "info", "low": "info", "debug": "info", "p4": "info", "p5": "info",
}

// severityOf maps the label severity; what it does not know is "unknown".
func severityOf(label string) string {
	if known, ok := severities[strings.ToLower(strings.TrimSpace(label))]; ok {
		return known
	}
	return "unknown"
}

func labelsOf(labels map[string]string) map[string]v1alpha1.LabelValue {
	kept := map[string]v1alpha1.LabelValue{}
	for _, key := range keys(labels, "alertname", "namespace", "severity") {
		if len(kept) == maxLabels {
			break
		}
		kept[key] = v1alpha1.LabelValue(clean(labels[key], maxLabel))
	}
	return kept
}

// annotationsOf are the alert's own, as many as fit, and what the request has changed of the alert.
func annotationsOf(a *alert) map[string]v1alpha1.AnnotationValue {
	kept := map[string]v1alpha1.AnnotationValue{}
	set := func(key, value string) {
		if value = clean(value, maxAnnotation); value != "" {
			kept[key] = v1alpha1.AnnotationValue(value)
		}
	}
	set(annotationFingerprint, a.Fingerprint)
	set(annotationSeverity, a.Labels["severity"])
	set(annotationStartsAt, a.StartsAt.UTC().Format(time.RFC3339Nano))
	set(annotationGeneratorURL, a.GeneratorURL)
	mine := len(kept) + 1
	own := keys(a.Annotations, "summary", "description", "message", "runbook_url", "dashboard_url")
	fits := own[:min(len(own), maxAnnotations-mine)]
	for _, key := range fits {
		if _, taken := kept[key]; !taken { // nobody else writes what the gateway says
			set(key, a.Annotations[key])
		}
	}
	if missing := len(a.Labels) - len(labelsOf(a.Labels)) + len(a.Annotations) - len(fits); missing > 0 {
		kept[annotationLeftOut] = v1alpha1.AnnotationValue(fmt.Sprintf("labels and annotations that did not fit: %d", missing))
	}
	return kept
}

// keys are those that the API takes, in order, with some of them first.
func keys[V any](of map[string]V, first ...string) []string {
	sorted := slices.Sorted(maps.Keys(of))
	sorted = slices.DeleteFunc(sorted, func(key string) bool {
		return key == "" || len(key) > maxKey || strings.ContainsFunc(key, control)
	})
	slices.SortStableFunc(sorted, func(a, b string) int { return rank(first, a) - rank(first, b) })
	return sorted
}

func rank(first []string, key string) int {
	if i := slices.Index(first, key); i >= 0 {
		return i
	}
	return len(first)
}

// clean makes a text of the alert fit for a field of at most max characters.
func clean(text string, max int) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\uFFFD")
	}
	text = strings.Map(func(r rune) rune {
		if control(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, text)
	return outbox.Bound(text, max)
}

func control(r rune) bool { return r < 0x20 || r == 0x7f }
