//go:build unix

package plugin_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

// A request from the wait for a person to its end, and what it leaves: the repair that cools down, and the next request of the same alert.
func TestExplainsARequest(t *testing.T) {
	f := setup(t)
	d := f.broken("cart")
	f.manager(stack.Postgres.URL(), "--cool-down=1h")
	rr := testenv.MakeRemediation(f.namespace, d.Name).Obj()
	rr.Spec.TTLAfterFinished = &metav1.Duration{Duration: time.Second}
	f.create(rr)

	e := f.is("rr/cart", "AwaitingApproval")
	f.Expect(e.Through).To(HavePrefix("aianalysis.holdfast.dev/cart-"))
	f.Expect(e.Why).To(ContainSubstring("nobody is bound to the role holdfast-approver, but you may decide"))
	f.approver("jane")
	f.Expect(f.is("rr/cart", "AwaitingApproval").Why).To(ContainSubstring("user jane may decide"))
	f.settled("rr/cart", "AwaitingApproval")
	f.read(rr)
	f.settled("nr/"+rr.Status.ApprovalNotification, "Sent")
	f.goldens("tree", "tree", "cart")
	f.goldens("approvals", "approvals")
	f.golden("approvals-wide.txt", hashless(f.in("approvals", "-o", "wide").Stdout))
	f.goldens("explain", "explain", "rr/cart")
	f.pasted(e.Command + " --yes")
	s := f.in("wait", "rr/cart", "--for=closed", "--timeout=2m")
	f.Expect(s.Code).To(BeZero(), "%+v", s)
	kept := f.is("rr/cart", "CoolingDown")
	f.Expect(kept.Why).To(ContainSubstring("is kept because it prevents another repair"))

	again := testenv.MakeRemediation(f.namespace, "again").Obj()
	again.Spec.Target.Name = d.Name
	f.create(again)
	e = f.is("rr/again", "CoolingDown")
	f.Expect(e.Why).To(ContainSubstring("RemediationRequest cart (uid"))
	f.pasted(e.Command)
	f.pasted(kept.Command)
	f.gone(rr)

	absent := testenv.MakeRemediation(f.namespace, "absent").Obj()
	f.create(absent)
	e = f.is("rr/absent", "TTLRunning")
	var analysis string
	for line := range strings.SplitSeq(f.in("tree", "absent", "-o", "name").Stdout, "\n") {
		if strings.HasPrefix(line, "aianalysis") {
			analysis = line
		}
	}
	f.pasted(f.is(analysis, "KeptByOwner").Command)
	f.pasted(e.Command)
	f.gone(absent)
}

// Workflows and notifications by hand.
func TestExplainsWork(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	f.broken("cart")
	f.account("temporary")
	never := v1alpha1.WorkflowStep{Name: "settle", Action: "Wait", Parameters: map[string]v1alpha1.ParameterValue{"for": "target.spec.replicas >= 99"}}
	brief := never
	brief.Timeout, brief.Retries = &metav1.Duration{Duration: time.Second}, 10
	undone := never
	undone.Timeout, undone.OnFailure = &metav1.Duration{Duration: 3 * time.Second}, v1alpha1.FailureRollback
	image := v1alpha1.WorkflowStep{Name: "image", Action: "SetImage", Parameters: map[string]v1alpha1.ParameterValue{"container": "main", "image": "example.com/cart:v3"}}
	moment := v1alpha1.WorkflowStep{Name: "moment", Action: "Wait", Parameters: map[string]v1alpha1.ParameterValue{"seconds": "1"}}
	for name, steps := range map[string][]v1alpha1.WorkflowStep{"patient": {never}, "retried": {brief}, "undone": {image, undone}, "verified": {moment}} {
		wfe := f.workflow(name)
		wfe.Spec.Steps = steps
		switch name {
		case "undone":
			wfe.Spec.ServiceAccountName = "temporary"
		case "verified":
			wfe.Spec.PostConditions = []v1alpha1.WorkflowCondition{{Name: "many", Expression: "target.spec.replicas >= 99"}}
		}
		f.create(wfe)
	}
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "hook"}, StringData: map[string]string{"url": "http://127.0.0.1:1/"}})
	retried := testenv.MakeNotification(f.namespace, "retried").Obj()
	retried.Spec.Channels = []v1alpha1.Channel{webhook}
	f.create(retried)
	f.create(testenv.MakeNotification(f.namespace, "sent").Obj())
	strange := testenv.MakeNotification(f.namespace, "strange").Obj()
	strange.Spec.RemediationRef.UID = "7b0b4c52-3f6e-4c9a-9f0e-2a1d5b8c6e11" // of no request
	f.create(strange)

	// The account loses its right before the step is undone.
	undo := f.workflow("undone")
	f.Eventually(func() int { f.read(undo); return len(undo.Status.Steps) }).Should(Equal(2))
	f.delete(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "temporary"}})

	f.pasted(f.is("wfe/retried", "StepRetries").Command)
	f.pasted(f.is("wfe/verified", "Verifying").Command)
	var e explained
	f.Eventually(func() string { e = f.is("wfe/undone", "StepRollingBack"); return e.Why }).Should(MatchRegexp(`tries again in \d+s, because attempt \d+ failed: .*forbidden`))
	f.pasted(e.Command)
	f.pasted(f.is("wfe/patient", "StepRunning").Command)
	f.pasted(f.is("nr/retried", "DeliveryRetries").Command)
	e = f.is("nr/strange", "RemediationRefused")
	f.Expect(e.Why).To(ContainSubstring("which does not exist in this namespace"))
	f.pasted(e.Command)
	e = f.is("nr/sent", "Ended")
	f.pasted(e.Command)
	f.gone(&v1alpha1.NotificationRequest{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "sent"}})
}

var webhook = v1alpha1.Channel{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "url"}}

// account makes a service account with the rights of remediator.
func (f *fixture) account(name string) {
	f.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name}})
	f.create(&rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "remediator"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: name, Namespace: f.namespace}}})
}

// A quota keeps a request from creating its children, one after the other. Somebody took the name of its notification.
func TestExplainsChildrenThatCannotBeCreated(t *testing.T) {
	f := setup(t)
	f.broken("cart")
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "team"}}
	quota.Spec.Hard = corev1.ResourceList{}
	for _, kind := range []string{"aianalyses", "workflowexecutions", "notificationrequests"} {
		quota.Spec.Hard[quotaOf(kind)] = resource.MustParse("0")
	}
	quota.Spec.Hard[quotaOf("notificationrequests")] = resource.MustParse("1")
	f.create(quota)
	f.Eventually(func() int { f.read(quota); return len(quota.Status.Hard) }).Should(Equal(3))
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "hook"}, StringData: map[string]string{"url": "http://127.0.0.1:1/"}})
	rr := testenv.MakeRemediation(f.namespace, "cart").Auto(0).Obj()
	rr.Spec.ServiceAccountName = "" // the workflow fails at once
	rr.Spec.Notification.Channels = []v1alpha1.Channel{webhook}
	f.create(rr)
	sum := sha256.Sum256([]byte(rr.UID))
	foreign := testenv.MakeNotification(f.namespace, rr.Name+"-"+hex.EncodeToString(sum[:4])+"-notification").Obj()
	f.Eventually(func() error { return api.Create(ctx, foreign) }).Should(Succeed()) // when the quota is known to the API server
	f.manager(stack.Postgres.URL())

	f.pasted(f.is("rr/cart", "AnalysisBlocked").Command)
	f.allow(quota, "aianalyses", rr)
	f.pasted(f.is("rr/cart", "WorkflowBlocked").Command)
	f.allow(quota, "workflowexecutions", rr)
	e := f.is("rr/cart", "NotificationBlocked")
	f.Expect(e.Why).To(ContainSubstring("exceeded quota: team"))
	f.pasted(e.Command)

	f.allow(quota, "notificationrequests", rr)
	e = f.is("rr/cart", "ForeignChild")
	f.pasted(e.Command)
}

func quotaOf(kind string) corev1.ResourceName {
	return corev1.ResourceName("count/" + kind + ".holdfast.dev")
}

// allow raises a quota, and then has the request try again.
func (f *fixture) allow(quota *corev1.ResourceQuota, kind string, rr *v1alpha1.RemediationRequest) {
	f.t.Helper()
	f.patch(quota, `{"spec":{"hard":{"`+string(quotaOf(kind))+`":"9"}}}`)
	f.Eventually(func() string { f.read(quota); q := quota.Status.Hard[quotaOf(kind)]; return q.String() }).Should(Equal("9"))
	f.touch(rr)
}

// touch starts the reconciler of a resource.
func (f *fixture) touch(rr *v1alpha1.RemediationRequest) {
	f.t.Helper()
	f.patch(rr, `{"metadata":{"annotations":{"example.com/touched":"`+time.Now().Format(time.RFC3339Nano)+`"}}}`)
}

// The investigator answers nonsense, and then nothing.
func TestExplainsAnInvestigator(t *testing.T) {
	f := setup(t)
	var silent atomic.Bool
	holmes := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is the end of the connection seen
		if silent.Load() {
			<-r.Context().Done()
			return
		}
		http.Error(w, "the model is overloaded", http.StatusServiceUnavailable)
	}))
	t.Cleanup(holmes.Close)
	f.manager(stack.Postgres.URL(), "--investigator-url", holmes.URL)
	f.create(testenv.MakeRemediation(f.namespace, "cart").Obj())
	e := f.is("rr/cart", "InvestigationRetries")
	f.Expect(e.Why).To(And(HavePrefix("cart waits for its analysis: "), ContainSubstring("asks holmesgpt again in")))
	f.pasted(e.Command)
	silent.Store(true)
	e = f.is("rr/cart", "Investigating")
	f.Expect(e.Why).To(ContainSubstring("and gives it up in"))
	f.pasted(strings.Replace(e.Command, "--for=closed", "--for=Investigating", 1))
}
