//go:build unix

package e2e

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	localcluster "github.com/holdfast-dev/holdfast/internal/local/cluster"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/migrations"
)

func (f *fixture) remediations(n int) []*v1alpha1.RemediationRequest {
	var all []*v1alpha1.RemediationRequest
	for i := range n {
		name := fmt.Sprintf("cart%d", i)
		f.broken(name)
		rr := testenv.MakeRemediation(f.namespace, name).Auto(80).Obj()
		f.create(rr)
		all = append(all, rr)
	}
	return all
}

// undone checks that the rollout was undone, and once: revision 3 is revision 1 again.
func (f *fixture) undone(rr *v1alpha1.RemediationRequest) {
	f.t.Helper()
	f.drained()
	var previous string
	f.Expect(f.database.QueryRow(`SELECT count(*) || ' of ' || max(total_steps) FROM workflow_execution_audit WHERE remediation_id = $1 AND final AND outcome = 'success' GROUP BY remediation_id`,
		string(rr.UID)).Scan(&previous)).To(Succeed())
	f.Expect(previous).To(HavePrefix("1 of "))
}

func TestTwoManagersAtOnceWithoutElection(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	f.manager(stack.Postgres.URL())
	for _, rr := range f.remediations(4) {
		f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationCompleted))
		f.Expect(f.client.Delete(ctx, rr)).To(Succeed())
		f.Eventually(f.gone(rr)).Should(BeTrue())
		f.undone(rr)
	}
	f.whole()
}

func TestAManagerThatIsKilledAgainAndAgainLosesNothing(t *testing.T) {
	f := setup(t)
	manager := f.manager(stack.Postgres.URL())
	all := f.remediations(3)
	for i, phase := range []v1alpha1.RemediationPhase{v1alpha1.RemediationAnalyzing, v1alpha1.RemediationExecuting, v1alpha1.RemediationNotifying} {
		f.Eventually(f.phase(all[i])).WithPolling(testenv.Interval / 10).Should(Or(Equal(phase), Satisfy(v1alpha1.RemediationPhase.Final)))
		f.Expect(manager.Kill()).To(Succeed())
		manager = f.manager(stack.Postgres.URL())
	}
	for _, rr := range all {
		f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationCompleted))
		f.undone(rr)
	}
	f.whole()
}

func TestLeaderElectionHandsOver(t *testing.T) {
	f := setup(t)
	start := func(address string) *localcluster.Running {
		return f.manager(stack.Postgres.URL(), "--leader-elect", "--leader-elect-namespace="+f.namespace, "--metrics-bind-address="+address)
	}
	leads := func(address string) string {
		_, body := f.scrape("http://"+address+"/metrics", "")
		return regexp.MustCompile(`(?m)^holdfast_manager_leading{.*$`).FindString(body)
	}
	active, standby := freeAddress(f), freeAddress(f)
	first := start(active)
	f.Eventually(leads).WithArguments(active).Should(HaveSuffix(`shard="0"} 1`))
	start(standby)
	f.Expect(leads(standby)).To(HaveSuffix(`shard="0"} 0`))
	rr := f.remediations(1)[0]
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationCompleted))
	f.Expect(first.Stop(0)).To(Succeed())
	f.Eventually(leads).WithArguments(standby).Should(HaveSuffix(`shard="0"} 1`))
	again := testenv.MakeRemediation(f.namespace, "none").Auto(80).Obj()
	f.create(again)
	f.Eventually(f.phase(again)).Should(Or(Equal(v1alpha1.RemediationCompleted), Equal(v1alpha1.RemediationFailed)))
}

func TestDeletionAtEveryPhase(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	for _, c := range []struct {
		name   string
		phase  v1alpha1.RemediationPhase
		adjust func(*v1alpha1.RemediationRequest)
	}{
		{"pending", "", func(*v1alpha1.RemediationRequest) {}},
		{"analyzing", v1alpha1.RemediationAnalyzing, func(*v1alpha1.RemediationRequest) {}},
		{"approval", v1alpha1.RemediationAwaitingApproval, func(rr *v1alpha1.RemediationRequest) {
			rr.Spec.Approval = v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}
		}},
		{"executing", v1alpha1.RemediationExecuting, func(*v1alpha1.RemediationRequest) {}},
		{"notifying", v1alpha1.RemediationNotifying, func(rr *v1alpha1.RemediationRequest) {
			rr.Spec.Notification.Channels = []v1alpha1.Channel{{Type: v1alpha1.ChannelWebhook, SecretRef: &v1alpha1.SecretKeyRef{Name: "absent", Key: "url"}}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			f.broken(c.name)
			rr := testenv.MakeRemediation(f.namespace, c.name).Auto(80).Obj()
			c.adjust(rr)
			f.create(rr)
			if c.phase != "" {
				g.Eventually(f.phase(rr)).WithTimeout(testenv.LongTimeout).WithPolling(testenv.Interval / 10).Should(
					Or(Equal(c.phase), Satisfy(v1alpha1.RemediationPhase.Final)))
			}
			g.Expect(f.client.Delete(ctx, rr)).To(Succeed())
			g.Eventually(f.gone(rr)).WithTimeout(testenv.LongTimeout).Should(BeTrue())
			// Its record ended, unless it was gone before anybody had seen it.
			g.Expect(f.lastEvent("orchestration_audit", rr.UID)).To(BeElementOf("Cancelled", "Completed", ""))
		})
	}
	f.whole()
}

func TestNamespaceDeletionInTheMiddle(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	f.broken("cart")
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationAwaitingApproval))
	ns := &corev1.Namespace{}
	ns.Name = f.namespace
	f.Expect(f.client.Delete(ctx, ns)).To(Succeed())
	f.Eventually(f.gone(ns)).Should(BeTrue())
	f.whole()
	f.Expect(f.lastEvent("orchestration_audit", rr.UID)).To(Equal("Cancelled"))
}

func TestAManagerWithoutTablesSaysWhatToRunAndLosesNothing(t *testing.T) {
	f := setup(t)
	url, err := stack.Postgres.CreateDatabase(ctx, "unmigrated")
	f.Expect(err).NotTo(HaveOccurred())
	f.manager(url)
	f.Eventually(func() string {
		text, err := os.ReadFile(f.log("manager"))
		f.Expect(err).NotTo(HaveOccurred())
		return string(text)
	}).Should(ContainSubstring("holdfast migrate up"))
	rr := testenv.MakeRemediation(f.namespace, "absent").Auto(80).Obj()
	f.create(rr)
	f.Eventually(f.phase(rr)).Should(Satisfy(v1alpha1.RemediationPhase.Final), "work goes on")
	f.Expect(f.client.Delete(ctx, rr)).To(Succeed())
	f.read(rr)
	f.Expect(rr.Finalizers).NotTo(BeEmpty(), "but it is not let go")
	f.Expect(migrations.Up(ctx, url, io.Discard)).To(Succeed())
	f.Eventually(f.gone(rr)).Should(BeTrue())
}

func TestADecisionInAnothersNameIsRefused(t *testing.T) {
	f := setup(t)
	f.manager(stack.Postgres.URL())
	f.broken("cart")
	rr := testenv.MakeRemediation(f.namespace, "cart").Obj()
	f.create(rr)
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationAwaitingApproval))
	f.read(rr)
	analysis := &v1alpha1.AIAnalysis{}
	f.Expect(f.client.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: rr.Status.Analysis}, analysis)).To(Succeed())
	decide := func(by string) error {
		return f.client.Patch(ctx, analysis.DeepCopy(), client.RawPatch(types.MergePatchType,
			[]byte(`{"spec":{"decision":{"verdict":"Approved","method":"api","justification":"known bad release","decidedBy":"`+by+`"}}}`)))
	}
	me := &authenticationv1.SelfSubjectReview{}
	f.create(me)
	f.Expect(decide("jane@example.com")).To(MatchError(And(ContainSubstring("decidedBy"), ContainSubstring(me.Status.UserInfo.Username))))
	f.Expect(decide(me.Status.UserInfo.Username)).To(Succeed())
	f.Eventually(f.phase(rr)).Should(Equal(v1alpha1.RemediationCompleted))
	f.drained()
	var by, method, why string
	f.Expect(f.database.QueryRow(`SELECT approved_by, approval_method, approval_justification FROM ai_analysis_audit WHERE remediation_id = $1 AND final`,
		string(rr.UID)).Scan(&by, &method, &why)).To(Succeed())
	f.Expect([]string{by, method, why}).To(Equal([]string{me.Status.UserInfo.Username, "api", "known bad release"}))
}
