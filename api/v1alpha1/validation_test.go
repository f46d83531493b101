package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gcustom"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// beRefused matches the API server's refusal (422) of a field, with a text in its message.
func beRefused(field, message string) OmegaMatcher {
	return gcustom.MakeMatcher(func(err error) (bool, error) {
		var status apierrors.APIStatus
		if !apierrors.IsInvalid(err) || !errors.As(err, &status) {
			return false, nil
		}
		return slices.ContainsFunc(status.Status().Details.Causes, func(c metav1.StatusCause) bool {
			return c.Field == field && strings.Contains(c.Message, message)
		}), nil
	}).WithTemplate("Expected\n{{.FormattedActual}}\n{{.To}} be the refusal of {{.Data.Field}} with {{.Data.Message}}",
		struct{ Field, Message string }{field, message})
}

// at replaces one value in a sample; the path is as in messages: spec.channels[1].type.
func at(o object, path string, value any) object {
	GinkgoHelper()
	steps := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	var here any = o
	for i, step := range steps {
		last := i == len(steps)-1
		if list, ok := here.([]any); ok {
			var index int
			_, err := fmt.Sscan(step, &index)
			Expect(err).NotTo(HaveOccurred())
			here = list[index]
			continue
		}
		m := here.(object)
		if last {
			m[step] = value
			return o
		}
		if m[step] == nil {
			m[step] = object{}
		}
		here = m[step]
	}
	return o
}

func manyKeys(n int) object {
	o := object{}
	for i := range n {
		o[fmt.Sprint("key", i)] = "value"
	}
	return o
}

var _ = Describe("The API server refuses", func() {
	refuses := func(k kind) func(ctx context.Context, path string, value any, message string) {
		return func(ctx context.Context, path string, value any, message string) {
			_, err := create(ctx, k, at(sample(k, newNamespace(ctx)), path, value))
			Expect(err).To(beRefused(path, message))
		}
	}

	DescribeTable("in a RemediationRequest", refuses(remediationRequest),
		Entry("an upper-case fingerprint", "spec.signal.fingerprint", strings.Repeat("A", 64), "should match"),
		Entry("a short fingerprint", "spec.signal.fingerprint", strings.Repeat("a", 15), "should match"),
		Entry("a long fingerprint", "spec.signal.fingerprint", strings.Repeat("a", 65), "Too long"),
		Entry("a fingerprint of something else", "spec.signal.fingerprint", "urn:alert:1234567", "should match"),
		Entry("no severity", "spec.signal.severity", "", "should match"),
		Entry("a sentence for a severity", "spec.signal.severity", "very bad", "should match"),
		Entry("a severity that ends in a dash", "spec.signal.severity", "page-", "should match"),
		Entry("a long severity", "spec.signal.severity", strings.Repeat("x", 64), "Too long"),
		Entry("a severity of two lines", "spec.signal.severity", "page\ncritical", "should match"),
		Entry("no name", "spec.signal.name", "", "at least 1 chars"),
		Entry("no source", "spec.signal.source", "", "at least 1 chars"),
		Entry("a time from before there were clusters", "spec.signal.receivedTime", "1969-12-31T23:59:59Z", "from the years 1970 to 2899"),
		Entry("a time that an offset moves out", "spec.signal.receivedTime", "1970-01-01T00:00:00+00:01", "from the years 1970 to 2899"),
		Entry("a day that is none", "spec.signal.receivedTime", "2026-02-30T00:00:00Z", "should match"),
		Entry("a leap second", "spec.signal.receivedTime", "2026-12-31T23:59:60Z", "should match"),
		Entry("an offset that no clock has", "spec.signal.receivedTime", "2026-11-23T04:05:06+24:00", "should match"),
		Entry("the year 0", "spec.signal.receivedTime", "0000-01-01T00:00:00Z", "should match"),
		Entry("a list for a time", "spec.signal.receivedTime", []any{}, "must be of type string"),
		Entry("a long label", "spec.signal.labels.team", strings.Repeat("x", 257), "Too long"),
		Entry("a label with a long key", "spec.signal.labels", object{strings.Repeat("k", 257): ""}, "expected keys of at most 256 characters"),
		Entry("an annotation with a long key", "spec.signal.annotations", object{strings.Repeat("k", 257): ""}, "expected keys of at most 256 characters"),
		Entry("a book for a label's key", "spec.signal.labels", object{strings.Repeat("k", 1<<20): ""}, "expected keys of at most 256 characters"),
		Entry("too many labels", "spec.signal.labels", manyKeys(65), "Too many"),
		Entry("a long annotation", "spec.signal.annotations.text", strings.Repeat("x", 1025), "Too long"),
		Entry("too many annotations", "spec.signal.annotations", manyKeys(33), "Too many"),
		Entry("a target without apiVersion", "spec.target.apiVersion", "", "at least 1 chars"),
		Entry("a resource's name for a kind", "spec.target.kind", "deployments", "should match"),
		Entry("a path for a target's name", "spec.target.name", "../cart", "should match"),
		Entry("an unknown mode", "spec.approval.mode", "Never", `supported values: "Auto", "Manual"`),
		Entry("a threshold over 100", "spec.approval.autoApproveAbove", 101, "less than or equal to 100"),
		Entry("a threshold under 0", "spec.approval.autoApproveAbove", -1, "greater than or equal to 0"),
		Entry("half a percent", "spec.approval.autoApproveAbove", 80.5, "must be of type int32"),
		Entry("an unknown channel", "spec.notification.channels[0].type", "pager", `supported values: "console", "slack", "webhook"`),
		Entry("too many channels", "spec.notification.channels", slices.Repeat([]any{object{"type": "console"}}, 11), "at most 10 items"),
		Entry("a duration without a unit", "spec.timeouts.total", "10", "expected a duration from 1s to 720h"),
		Entry("a duration that Go cannot hold", "spec.timeouts.total", "99999999h", "expected a duration from 1s to 720h"),
		Entry("a duration that ends in a number", "spec.timeouts.total", "1.5h1", "expected a duration from 1s to 720h"),
		Entry("a negative duration", "spec.timeouts.analysis", "-1s", "expected a duration from 1s to 720h"),
		Entry("no time for the analysis", "spec.timeouts.analysis", "0s", "expected a duration from 1s to 720h"),
		Entry("no time for the approval", "spec.timeouts.approval", "999ms", "expected a duration from 1s to 720h"),
		Entry("a month and a bit", "spec.timeouts.execution", "721h", "expected a duration from 1s to 720h"),
		Entry("days", "spec.timeouts.notification", "1d", "expected a duration from 1s to 720h"),
		Entry("a life beyond a year", "spec.ttlAfterFinished", "8761h", "expected a duration from 0s to 8760h"),
		Entry("a word for true", "spec.cancel", "yes", "must be of type boolean"),
	)

	DescribeTable("in an AIAnalysis", refuses(aiAnalysis),
		Entry("a label with a long key", "spec.signal.labels", object{strings.Repeat("k", 257): ""}, "expected keys of at most 256 characters"),
		Entry("an annotation with a long key", "spec.signal.annotations", object{strings.Repeat("k", 257): ""}, "expected keys of at most 256 characters"),
		Entry("no remediation", "spec.remediationRef.name", "", "at least 1 chars"),
		Entry("no uid", "spec.remediationRef.uid", "", "at least 1 chars"),
		Entry("an unknown verdict", "spec.decision.verdict", "Maybe", `supported values: "Approved", "Rejected"`),
		Entry("an unknown method", "spec.decision.method", "phone", `supported values: "console", "slack", "api"`),
		Entry("a decision by nobody", "spec.decision.decidedBy", "", "at least 1 chars"),
		Entry("no time", "spec.timeout", "0s", "expected a duration from 1s to 720h"),
		Entry("no time to decide", "spec.approvalTimeout", "0.5s", "expected a duration from 1s to 720h"),
	)

	DescribeTable("in a WorkflowExecution", refuses(workflowExecution),
		Entry("no workflow", "spec.workflowID", "", "at least 1 chars"),
		Entry("no steps", "spec.steps", []any{}, "at least 1 items"),
		Entry("too many steps", "spec.steps", slices.Repeat([]any{object{"name": "x", "action": "Wait"}}, 21), "at most 20 items"),
		Entry("a step without a name", "spec.steps[0].name", "", "at least 1 chars"),
		Entry("a step without an action", "spec.steps[0].action", "", "at least 1 chars"),
		Entry("a number for a parameter", "spec.steps[0].parameters.toRevision", 0, "must be of type string"),
		Entry("a parameter with a long key", "spec.steps[0].parameters", object{strings.Repeat("k", 64): ""}, "expected keys of at most 63 characters"),
		Entry("a step that waits for ever", "spec.steps[0].timeout", "721h", "expected a duration from 1s to 720h"),
		Entry("too many retries", "spec.steps[0].retries", 11, "less than or equal to 10"),
		Entry("an unknown policy", "spec.steps[0].onFailure", "Retry", `supported values: "Abort", "Continue", "Rollback"`),
		Entry("an empty condition", "spec.preConditions[0].expression", "", "at least 1 chars"),
		Entry("a condition without a name", "spec.postConditions[0].name", "", "at least 1 chars"),
		Entry("no time", "spec.timeout", "0s", "expected a duration from 1s to 720h"),
	)

	DescribeTable("in a NotificationRequest", refuses(notificationRequest),
		Entry("no subject", "spec.subject", "", "at least 1 chars"),
		Entry("a book", "spec.body", strings.Repeat("x", 16385), "Too long"),
		Entry("no channels", "spec.channels", []any{}, "at least 1 items"),
		Entry("a console with a secret", "spec.channels[0].secretRef", object{"name": "slack", "key": "url"}, "slack and webhook require secretRef, the Secret key with the URL; console does not allow it"),
		Entry("a key that no Secret has", "spec.channels[1].secretRef.key", "a/b", "should match"),
		Entry("no attempt", "spec.retry.maxAttempts", 0, "greater than or equal to 1"),
		Entry("attempts without end", "spec.retry.maxAttempts", 21, "less than or equal to 20"),
		Entry("no pause", "spec.retry.initialBackoff", "1ms", "expected a duration from 100ms to 1h"),
		Entry("a long pause", "spec.retry.maxBackoff", "25h", "expected a duration from 100ms to 24h"),
		Entry("a slow attempt", "spec.retry.timeout", "10m", "expected a duration from 100ms to 5m"),
	)

	It("mode Auto without a threshold", func(ctx context.Context) {
		_, err := create(ctx, remediationRequest, at(sample(remediationRequest, newNamespace(ctx)), "spec.approval", object{"mode": "Auto"}))
		Expect(err).To(beRefused("spec.approval.autoApproveAbove", "mode Auto requires autoApproveAbove, a percentage from 0 to 100"))
	})

	It("slack and webhook without the secret that has the URL", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		for _, channel := range []string{"slack", "webhook"} {
			o := sample(notificationRequest, namespace)
			o["spec"].(object)["channels"] = []any{object{"type": channel}}
			_, err := create(ctx, notificationRequest, o)
			Expect(err).To(beRefused("spec.channels[0].secretRef", "slack and webhook require secretRef"))
		}
	})

	DescribeTable("a phase that the kind does not have", func(ctx context.Context, k kind, phase string) {
		o, err := create(ctx, k, sample(k, newNamespace(ctx)))
		Expect(err).NotTo(HaveOccurred())
		_, err = updateStatus(ctx, k, at(o, "status.phase", phase))
		Expect(err).To(beRefused("status.phase", "Unsupported value"))
	},
		Entry(nil, remediationRequest, "Sent"),
		Entry(nil, aiAnalysis, "Executing"),
		Entry(nil, workflowExecution, "Rejected"),
		Entry(nil, notificationRequest, "Completed"),
	)
})

var _ = Describe("The API server accepts", func() {
	DescribeTable("a time as alert managers send it", func(ctx context.Context, text string) {
		_, err := create(ctx, remediationRequest, at(sample(remediationRequest, newNamespace(ctx)), "spec.signal.receivedTime", text))
		Expect(err).NotTo(HaveOccurred())
	},
		Entry("whole seconds", "2026-11-23T04:05:06Z"),
		Entry("milliseconds", "2026-11-23T04:05:06.123Z"),
		Entry("nanoseconds", "2026-11-23T04:05:06.123456789Z"),
		Entry("an offset", "2026-11-23T04:05:06.5+05:30"),
		Entry("lower case", "2026-11-23t04:05:06z"),
		Entry("a leap day", "2024-02-29T00:00:00Z"),
	)

	DescribeTable("a signal as senders name it", func(ctx context.Context, fingerprint, severity string) {
		for _, k := range []kind{remediationRequest, aiAnalysis} {
			o := at(at(sample(k, newNamespace(ctx)), "spec.signal.fingerprint", fingerprint), "spec.signal.severity", severity)
			at(o, "spec.signal.labels", object{strings.Repeat("é", 256): strings.Repeat("é", 256)})
			_, err := create(ctx, k, o)
			Expect(err).NotTo(HaveOccurred())
		}
	},
		Entry("Alertmanager", "c1f2a3b4d5e6f708", "page"),
		Entry("its watchdog", "0000000000000000", "none"),
		Entry("SHA-1", strings.Repeat("a1", 20), "P1"),
		Entry("SHA-256", strings.Repeat("a1", 32), "critical"),
		Entry("another scale", strings.Repeat("a1", 16), "sev-1.5_High"),
	)

	DescribeTable("every phase of the kind", func(ctx context.Context, k kind, phases ...string) {
		o, err := create(ctx, k, sample(k, newNamespace(ctx)))
		Expect(err).NotTo(HaveOccurred())
		for _, phase := range phases {
			o, err = updateStatus(ctx, k, at(o, "status.phase", phase))
			Expect(err).NotTo(HaveOccurred())
		}
	},
		Entry(nil, remediationRequest, "Pending", "Analyzing", "AwaitingApproval", "Executing", "Notifying", "Completed", "Failed", "Rejected", "TimedOut", "Cancelled"),
		Entry(nil, aiAnalysis, "Pending", "Investigating", "AwaitingApproval", "Completed", "Rejected", "Failed", "TimedOut", "Cancelled"),
		Entry(nil, workflowExecution, "Pending", "Validating", "Executing", "Verifying", "RollingBack", "Completed", "Failed", "TimedOut", "Cancelled"),
		Entry(nil, notificationRequest, "Pending", "Sending", "Retrying", "Sent", "PartiallySent", "Failed", "Cancelled"),
	)
})
