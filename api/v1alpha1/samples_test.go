package v1alpha1_test

import (
	"context"
	"encoding/json"
	"net/http"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const signalYAML = `
    fingerprint: "` + fingerprint + `"
    name: KubePodCrashLooping
    severity: critical
    source: alertmanager
    receivedTime: "2026-11-23T04:05:06Z"
    labels: {team: checkout}`

const fingerprint = "3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c3f0c"

const requestYAML = `
apiVersion: holdfast.dev/v1alpha1
kind: RemediationRequest
metadata: {name: cart-crash}
spec:
  signal:` + signalYAML + `
  target: {apiVersion: apps/v1, kind: Deployment, name: cart}
  serviceAccountName: remediator
  approval: {mode: Auto, autoApproveAbove: 80}
  notification: {channels: [{type: console}]}
  timeouts: {analysis: 10m, approval: 1h, execution: 30m, notification: 10m, total: 2h}
  ttlAfterFinished: 24h`

const analysisYAML = `
apiVersion: holdfast.dev/v1alpha1
kind: AIAnalysis
metadata: {name: cart-crash}
spec:
  remediationRef: {name: cart-crash, uid: 0b6f}
  signal:` + signalYAML + `
  target: {apiVersion: apps/v1, kind: Deployment, name: cart}
  approval: {mode: Manual}`

const workflowYAML = `
apiVersion: holdfast.dev/v1alpha1
kind: WorkflowExecution
metadata: {name: cart-undo}
spec:
  remediationRef: {name: cart-crash, uid: 0b6f}
  workflowID: rollout-undo
  target: {apiVersion: apps/v1, kind: Deployment, name: cart}
  serviceAccountName: remediator
  preConditions: [{name: exists, expression: "target.spec.replicas >= 1"}]
  steps:
  - {name: undo, action: RolloutUndo, parameters: {toRevision: "0"}, timeout: 2m, retries: 1, onFailure: Rollback}
  - {name: settle, action: Wait, parameters: {for: "target.status.availableReplicas >= target.spec.replicas"}, timeout: 2m}
  postConditions: [{name: available, expression: "target.status.availableReplicas >= target.spec.replicas"}]`

const notificationYAML = `
apiVersion: holdfast.dev/v1alpha1
kind: NotificationRequest
metadata: {name: cart-crash}
spec:
  remediationRef: {name: cart-crash, uid: 0b6f}
  subject: cart was fixed
  body: The rollout was undone.
  channels: [{type: console}, {type: slack, secretRef: {name: slack, key: url}}]`

// samples are objects as people write them.
var samples = map[string]string{
	remediationRequest.name:  requestYAML,
	aiAnalysis.name:          analysisYAML,
	workflowExecution.name:   workflowYAML,
	notificationRequest.name: notificationYAML,
}

func sample(k kind, namespace string) object {
	o := fromYAML(samples[k.name])
	(&unstructured.Unstructured{Object: o}).SetNamespace(namespace)
	return o
}

var _ = Describe("The samples", func() {
	for _, k := range kinds {
		It("of the contract are accepted as they stand: "+k.name, func(ctx context.Context) {
			o := sample(k, newNamespace(ctx))
			stored, err := create(ctx, k, o)
			Expect(err).NotTo(HaveOccurred())
			Expect(stored["spec"]).To(MatchKeysOf(o["spec"].(object)))
		})

		It("can be written back by a Go client, which writes 5m as 5m0s: "+k.name, func(ctx context.Context) {
			stored, err := create(ctx, k, sample(k, newNamespace(ctx)))
			Expect(err).NotTo(HaveOccurred())
			content, err := json.Marshal(stored)
			Expect(err).NotTo(HaveOccurred())
			typed := k.new()
			Expect(json.Unmarshal(content, typed)).To(Succeed())
			_, err = request{verb: http.MethodPut, namespace: namespaceOf(stored), plural: k.plural, name: nameOf(stored), body: typed}.do(ctx)
			Expect(err).NotTo(HaveOccurred())
		})

		It("with only what is required are accepted: "+k.name, func(ctx context.Context) {
			_, err := create(ctx, k, sparse(k, newNamespace(ctx), "sparse"))
			Expect(err).NotTo(HaveOccurred())
		})
	}

	It("leave out what has a default", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		stored, err := create(ctx, remediationRequest, sparse(remediationRequest, namespace, "sparse"))
		Expect(err).NotTo(HaveOccurred())
		Expect(stored["spec"]).To(MatchKeysOf(object{
			"approval":         object{"mode": "Manual"},
			"notification":     object{"channels": []any{object{"type": "console"}}},
			"timeouts":         object{"analysis": "10m", "approval": "1h", "execution": "30m", "notification": "10m", "total": "2h"},
			"ttlAfterFinished": "24h",
		}))
	})

	It("a person decides with a merge patch", func(ctx context.Context) {
		namespace := newNamespace(ctx)
		_, err := create(ctx, aiAnalysis, sample(aiAnalysis, namespace))
		Expect(err).NotTo(HaveOccurred())
		decided, err := request{
			verb: http.MethodPatch, namespace: namespace, plural: "aianalyses", name: "cart-crash", patch: "application/merge-patch+json",
			body: fromYAML(`spec: {decision: {verdict: Approved, decidedBy: ` + user + `, method: api, justification: "known bad release"}}`),
		}.do(ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(decided["spec"]).To(HaveKeyWithValue("decision", HaveKeyWithValue("verdict", "Approved")))
	})
})

// MatchKeysOf succeeds when the object has every field of want with its value; it may have more.
func MatchKeysOf(want object) OmegaMatcher {
	matchers := []OmegaMatcher{}
	for key, value := range want {
		matchers = append(matchers, HaveKeyWithValue(key, matchValue(value)))
	}
	return And(matchers...)
}

func matchValue(want any) OmegaMatcher {
	switch want := want.(type) {
	case object:
		return MatchKeysOf(want)
	case []any:
		matchers := []any{}
		for _, value := range want {
			matchers = append(matchers, matchValue(value))
		}
		return HaveExactElements(matchers...)
	}
	return BeEquivalentTo(want)
}
