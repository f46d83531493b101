package crash

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
)

// scenario is what happens in a world, and how it ends whoever dies meanwhile.
type scenario struct {
	name string
	fill func(*world)
	// first is where a manager dies before the one that is recorded, or killed.
	first string
	// disturb are points at which a label is set on everything of a kind.
	disturb map[string]string
	// makes counts the resources of a kind.
	makes map[string]int
	// phases in which resources end, by name, where there is one.
	phases map[string]string
	// dead is the entry that becomes a dead letter, by the name of its resource.
	dead map[string]int64
	// tampered is the resource whose dead letter was changed in the resource, so that its hash does not fit.
	tampered string
	// vanish are kinds that a controller deletes.
	vanish map[string]bool
	// generations in which Deployments end: one change of the spec, one more. restarts are of pods.
	generations map[string]int64
	restarts    map[string]int
}

const (
	requests      = "RemediationRequest"
	analyses      = "AIAnalysis"
	workflows     = "WorkflowExecution"
	notifications = "NotificationRequest"
)

func scenarios() []*scenario {
	return []*scenario{
		{
			name: "notification",
			fill: func(w *world) {
				notification(w, "takes", "takes")
				notification(w, "recovers", "recovers", "takes")
				notification(w, "refuses", "refuses")
			},
			makes:  map[string]int{notifications: 3},
			phases: map[string]string{"takes": "Sent", "recovers": "Sent", "refuses": "Failed"},
		},
		{
			name: "analysis",
			fill: func(w *world) {
				w.receiver.silent = 1
				analysis(w, "approved")
				analysis(w, "rejected")
			},
			makes:  map[string]int{analyses: 2},
			phases: map[string]string{"approved": "Completed", "rejected": "Rejected"},
		},
		{
			name: "workflow",
			fill: func(w *world) {
				deployment(w, "restarted", 2)
				deployment(w, "rolledback", 0)
				workflow(w, "restarted", step("pods", "RestartPods", nil), step("rollout", "RolloutRestart", nil), step("scale", "Scale", map[string]v1alpha1.ParameterValue{"replicas": "2"}))
				hopeless := step("hopeless", "Wait", map[string]v1alpha1.ParameterValue{"for": "target.spec.replicas == 99"})
				hopeless.Timeout, hopeless.OnFailure = &metav1.Duration{Duration: time.Second}, v1alpha1.FailureRollback
				workflow(w, "rolledback", step("image", "SetImage", map[string]v1alpha1.ParameterValue{"image": "example.com/cart:v2"}), hopeless)
			},
			makes:       map[string]int{workflows: 2},
			phases:      map[string]string{"restarted": "Completed", "rolledback": "Failed"},
			generations: map[string]int64{"restarted": 3, "rolledback": 3},
			restarts:    map[string]int{"restarted-0": 1, "restarted-1": 1},
		},
		{
			name: "remediation",
			fill: func(w *world) {
				for _, name := range []string{"cart", "pay"} {
					deployment(w, name, 0)
					rr := testenv.MakeRemediation(w.namespace, name).Auto(80).Obj()
					rr.Spec.TTLAfterFinished = &metav1.Duration{Duration: time.Millisecond} // so that it is gone before it would be trimmed
					rr.Spec.Notification.Channels = []v1alpha1.Channel{webhook("takes")}
					w.create(rr)
				}
			},
			makes:       map[string]int{requests: 2, analyses: 2, workflows: 2, notifications: 2},
			phases:      map[string]string{"cart": "Completed", "pay": "Completed"},
			vanish:      map[string]bool{requests: true},
			generations: map[string]int64{"cart": 2, "pay": 2},
		},
		{
			name: "ending",
			fill: func(w *world) {
				for _, name := range []string{"cancelled", "deleted"} {
					rr := testenv.MakeRemediation(w.namespace, name).Obj()
					rr.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
					rr.Spec.Notification.Channels = []v1alpha1.Channel{webhook("fails")} // so that the message that asks for a decision is open
					w.create(rr)
				}
			},
			makes:  map[string]int{requests: 2, analyses: 2, notifications: 2},
			phases: map[string]string{"cancelled": "Cancelled", "deleted": "Cancelled"},
		},
		{
			name: "approval", // a person decides when the reminder has come
			fill: func(w *world) {
				deployment(w, "cart", 0)
				rr := testenv.MakeRemediation(w.namespace, "cart").Obj()
				rr.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
				rr.Spec.Timeouts.Approval = &metav1.Duration{Duration: 40 * time.Second}
				rr.Spec.Notification.Channels = []v1alpha1.Channel{webhook("takes")}
				w.create(rr)
			},
			makes:       map[string]int{requests: 1, analyses: 1, workflows: 1, notifications: 3},
			phases:      map[string]string{"cart": "Completed"},
			generations: map[string]int64{"cart": 2},
		},
		{
			name: "conflict",
			fill: func(w *world) {
				deployment(w, "cart", 0)
				rr := testenv.MakeRemediation(w.namespace, "cart").Auto(80).Obj()
				rr.Spec.Notification.Channels = []v1alpha1.Channel{webhook("takes")}
				w.create(rr)
			},
			disturb: map[string]string{
				"update remediationrequests/status Received":        requests,
				"update aianalyses/status InvestigationStarted":     analyses,
				"update workflowexecutions/status Created":          workflows,
				"update notificationrequests/status SendingStarted": notifications,
			},
			makes:       map[string]int{requests: 1, analyses: 1, workflows: 1, notifications: 1},
			phases:      map[string]string{"cart": "Completed"},
			generations: map[string]int64{"cart": 2},
		},
		{
			name:  "resumed", // an attempt was sent whose outcome nobody wrote down
			fill:  func(w *world) { notification(w, "takes", "takes") },
			first: "post webhook:1:after",
			makes: map[string]int{notifications: 1}, phases: map[string]string{"takes": "Sent"},
		},
		{
			name:  "again", // entries are sent that are rows already
			fill:  func(w *world) { notification(w, "takes", "takes") },
			first: "commit:1:after",
			makes: map[string]int{notifications: 1}, phases: map[string]string{"takes": "Sent"},
		},
		{
			name: "poison",
			fill: func(w *world) {
				tampered := ended(w, "tampered", "r")
				tampered.Status.Outbox.Entries[0] = outboxapi.Entry(strings.Replace(string(tampered.Status.Outbox.Entries[0]), `"event":"`, `"event":"Tampered`, 1))
				w.status(tampered)
				// Two entries of one resource are flushed together, so that there is a good row to keep beside a bad one.
				// What a column cannot hold is known before the database is asked; a constraint that somebody added is not.
				w.status(ended(w, "endless", "r", refused))
			},
			makes:    map[string]int{notifications: 2},
			dead:     map[string]int64{"tampered": 1, "endless": 2},
			tampered: "tampered",
		},
	}
}

// refused is an id of a remediation that a constraint of the tests' database forbids.
const refused = "refused"

// calls is HOLDFAST_FAILPOINT_CALL.
func (s *scenario) calls(w *world) string {
	var all []string
	for at, kind := range s.disturb {
		all = append(all, fmt.Sprintf("%s:1:before=%s/touch/%s", at, w.receiver.URL, kind))
	}
	return strings.Join(all, ", ")
}

func webhook(key string) v1alpha1.Channel {
	return v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "receiver", Key: key}}
}

func notification(w *world, name string, keys ...string) {
	n := testenv.MakeNotification(w.namespace, name).Obj()
	n.Spec.Channels = nil
	for _, key := range keys {
		n.Spec.Channels = append(n.Spec.Channels, webhook(key))
	}
	n.Spec.Retry = v1alpha1.RetryPolicy{InitialBackoff: &metav1.Duration{Duration: 100 * time.Millisecond}, Timeout: &metav1.Duration{Duration: 2 * time.Second}, MaxAttempts: 10}
	w.create(n)
}

func analysis(w *world, name string) {
	rr := testenv.MakeRemediation(w.namespace, name).Obj()
	a := &v1alpha1.AIAnalysis{Spec: v1alpha1.AIAnalysisSpec{RemediationRef: ref, Signal: rr.Spec.Signal, Target: rr.Spec.Target,
		Approval: v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}}}
	a.Name = name
	w.create(a)
}

var ref = v1alpha1.RemediationRef{Name: "cart-crash", UID: "by-hand"}

func workflow(w *world, name string, steps ...v1alpha1.WorkflowStep) {
	e := &v1alpha1.WorkflowExecution{Spec: v1alpha1.WorkflowExecutionSpec{RemediationRef: ref, WorkflowID: "by-hand",
		Target: v1alpha1.Target{APIVersion: "apps/v1", Kind: "Deployment", Name: name}, ServiceAccountName: "remediator", Steps: steps}}
	e.Name = name
	w.create(e)
}

func step(name, action string, parameters map[string]v1alpha1.ParameterValue) v1alpha1.WorkflowStep {
	return v1alpha1.WorkflowStep{Name: name, Action: action, Parameters: parameters, Timeout: &metav1.Duration{Duration: time.Minute}}
}

// ended makes a notification, and closes its record with an entry for each id of a remediation. Its status is not written yet.
func ended(w *world, name string, remediationIDs ...string) *v1alpha1.NotificationRequest {
	n := testenv.MakeNotification(w.namespace, name).Finalizers(outbox.Finalizer).Obj()
	w.create(n)
	n.Status.Phase = v1alpha1.NotificationSent
	for i, id := range remediationIDs {
		box, _, err := entry.Append(n.Status.Outbox, entry.SourceOf(n), entry.Change{Kind: entry.KindNotification, Event: "DeliverySucceeded", Phase: "Sent",
			Final: i == len(remediationIDs)-1, Record: models.Notification{RemediationID: id, NotificationRequestedAt: outboxapi.NewTime(time.Now())}}, time.Now(), entry.Salt{}, entry.DefaultLimits())
		w.Expect(err).NotTo(HaveOccurred())
		n.Status.Outbox = box
	}
	return n
}
