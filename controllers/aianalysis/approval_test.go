package aianalysis

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/config"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/controllers/internal/controllertest"
	"github.com/holdfast-dev/holdfast/internal/testenv"
)

var _ = Describe("an approval", func() {
	var f *fixture
	BeforeEach(func() { f = newFixture() })

	DescribeTable("is asked for", func(approval v1alpha1.ApprovalPolicy, confidence int32) {
		a := f.analysis(func(a *v1alpha1.AIAnalysis) { a.Spec.Approval = approval })
		p := f.start(answers(says(undo(confidence))))
		now := p.investigated(a)
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", "InvestigationCompleted/AwaitingApproval"))
		Expect(lastRecord(now)).To(And(HaveField("ApprovalRequired", HaveValue(BeTrue())), HaveField("ApprovalStatus", ""), HaveField("ApprovalRequestedAt", Not(BeNil())),
			HaveField("ApprovalMode", string(approval.Mode)),
			HaveField("ApprovalDeadline.Time", BeTemporally("==", now.Status.Approval.RequestedTime.Add(a.Spec.ApprovalTimeout.Duration)))))
		if approval.Mode == v1alpha1.ApprovalAuto {
			Expect(lastRecord(now).ApprovalThreshold).To(HaveValue(BeEquivalentTo(*approval.AutoApproveAbove)))
		} else {
			Expect(lastRecord(now).ApprovalThreshold).To(BeNil(), "it does not count")
		}
		Expect(p.reconcile(a).RequeueAfter).To(Equal(time.Hour), "the default of approvalTimeout")
	},
		Entry("in mode Manual", v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual}, int32(100)),
		Entry("in mode Manual with a threshold", v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalManual, AutoApproveAbove: ptr.To[int32](0)}, int32(100)),
		Entry("below the threshold", v1alpha1.ApprovalPolicy{Mode: v1alpha1.ApprovalAuto, AutoApproveAbove: ptr.To[int32](81)}, int32(80)),
	)

	It("is asked for with everything that a person needs, and the command works as it is", func() {
		a := f.analysis()
		p := f.start(answers(says(undo(75))))
		now := p.investigated(a)
		ready := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		Expect(ready.Status).To(Equal(metav1.ConditionUnknown))
		Expect(ready.Message).To(HavePrefix("AIAnalysis %s recommends rollout-undo (75 %% sure, toRevision=4). Approve or reject it before %s: kubectl -n %s patch", a.Name,
			f.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339), a.Namespace))

		_, command, _ := strings.Cut(ready.Message, "Z: ")
		kubectl, said := "#!/bin/sh\nif [ \"$1\" = auth ]; then printf %s \"$ME\"; else printf '%s\\n' \"$@\"; fi\n", &strings.Builder{}
		folder := GinkgoT().TempDir()
		Expect(os.WriteFile(filepath.Join(folder, "kubectl"), []byte(kubectl), 0o700)).To(Succeed())
		shell := exec.CommandContext(f.ctx, "sh", "-c", command)
		shell.Env, shell.Stdout, shell.Stderr = []string{"PATH=" + folder + ":" + os.Getenv("PATH"), "ME=" + me}, said, GinkgoWriter
		Expect(shell.Run()).To(Succeed())
		arguments := strings.Split(strings.TrimSpace(said.String()), "\n")
		Expect(arguments).To(HaveExactElements("-n", a.Namespace, "patch", "aianalysis", a.Name, "--type=merge", "-p", ContainSubstring("decision")))
		Expect(env.Client.Patch(f.ctx, a, client.RawPatch(types.MergePatchType, []byte(arguments[7])))).To(Succeed())
		p.reconcile(a)
		Expect(f.get(a)).To(controllertest.EndWithTrail("Approved/Completed/final"))
	})

	It("is a person's, at the controller's time", func() {
		a := f.analysis()
		p := f.start(answers(says(undo(80))))
		p.investigated(a)
		f.alter(a, decided(v1alpha1.VerdictApproved))
		f.pass(90*time.Second + 700*time.Millisecond)
		p.reconcile(a)
		now := f.get(a)
		Expect(now).To(controllertest.EndWithTrail("Approved/Completed/final"))
		r := lastRecord(now)
		Expect(r.ApprovalTime.Time).To(BeTemporally("==", f.clock.Now()))
		Expect(r.ApprovalTime.Sub(r.ApprovalRequestedAt)).To(Equal(90*time.Second + 700*time.Millisecond))
		Expect(r).To(And(HaveField("ApprovalStatus", "approved"), HaveField("ApprovedBy", me), HaveField("ApprovalMethod", "api"), HaveField("ApprovalJustification", "known bad release"),
			HaveField("ApprovalDurationSeconds", HaveValue(Equal(int64(90)))), HaveField("RejectedBy", ""), HaveField("RejectionReason", ""), HaveField("RecommendedAction", "rollout-undo")))
		Expect(p.expert.questions()).To(Equal(1))
	})

	It("can be refused", func() {
		a := f.analysis()
		p := f.start(answers(says(undo(80))))
		p.investigated(a)
		f.alter(a, decided(v1alpha1.VerdictRejected))
		p.reconcile(a)
		now := f.get(a)
		Expect(now).To(controllertest.EndWithTrail("Rejected/Rejected/final"))
		Expect(lastRecord(now)).To(And(HaveField("ApprovalStatus", "rejected"), HaveField("RejectedBy", me), HaveField("RejectionReason", "known bad release"),
			HaveField("ApprovedBy", ""), HaveField("ApprovalJustification", ""), HaveField("ApprovalMethod", "api")))
		Expect(now.Status.FailureReason).To(Equal(me + " rejected rollout-undo"))
	})

	It("expires, and what is decided later does not count", func() {
		for _, late := range []bool{false, true} {
			a := f.analysis(func(a *v1alpha1.AIAnalysis) { a.Spec.ApprovalTimeout = &metav1.Duration{Duration: time.Minute} })
			p := f.start(answers(says(undo(80))))
			p.investigated(a)
			f.pass(time.Minute)
			if late {
				f.alter(a, decided(v1alpha1.VerdictApproved))
			}
			p.reconcile(a)
			now := f.get(a)
			Expect(now).To(controllertest.EndWithTrail("ApprovalExpired/TimedOut/final"))
			Expect(lastRecord(now)).To(And(HaveField("ApprovalStatus", "expired"), HaveField("ApprovalDurationSeconds", HaveValue(Equal(int64(60)))), HaveField("ApprovedBy", "")))
			Expect(now.Status.FailureReason).To(ContainSubstring("spec.approvalTimeout of 1m0s"))
			Expect(meta.IsStatusConditionTrue(now.Status.Conditions, v1alpha1.ConditionDecisionRefused)).To(Equal(late), "who decided is told that it does not count")
		}
	})

	DescribeTable("that was decided before there was a recommendation counts once there is one, instead of the policy's", func(v v1alpha1.Verdict, expected string) {
		now := f.start(answers(says(undo(99)))).investigated(f.analysis(auto(80), decided(v)))
		Expect(now).To(controllertest.HaveTrail("InvestigationStarted/Investigating", expected))
		Expect(now.Status.Approval).To(And(HaveField("Required", true), HaveField("DecidedBy", me), HaveField("RequestedTime", Not(BeNil())), HaveField("DurationSeconds", HaveValue(BeZero()))))
	},
		Entry("approved", v1alpha1.VerdictApproved, "Approved/Completed/final"),
		Entry("rejected", v1alpha1.VerdictRejected, "Rejected/Rejected/final"),
	)

	It("that another hand wrote into the status, half of it, is no decision, and comes to an end", func() {
		a := f.analysis()
		p := f.start(answers(says(undo(75))))
		now := p.investigated(a)
		now.Status.Approval, now.Status.Recommendation = &v1alpha1.Approval{Required: true}, nil
		Expect(env.Client.Status().Update(f.ctx, now)).To(Succeed())
		f.alter(a, decided(v1alpha1.VerdictApproved))
		p.reconcile(a)
		Expect(f.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))
		f.pass(2 * time.Hour)
		p.reconcile(a)
		Expect(f.get(a)).To(controllertest.EndWithTrail("ApprovalExpired/TimedOut/final"))
	})

	It("counts for nothing when there is nothing to approve", func() {
		finding := undo(99)
		finding.Recommendation = nil
		now := f.start(answers(says(finding))).investigated(f.analysis(decided(v1alpha1.VerdictApproved)))
		Expect(now).To(controllertest.EndWithTrail("InvestigationCompleted/Completed/final"))
		Expect(now.Status.Approval).To(BeNil())
		Expect(meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionDecisionRefused)).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", "TooLate"),
			HaveField("Message", ContainSubstring("ended as Completed without it"))))
	})
})

var _ = Describe("without the admission policy", Serial, func() {
	var f *fixture
	BeforeEach(func() {
		f = newFixture()
		DeferCleanup(func(ctx SpecContext) { Expect(config.Install(ctx, env.Config, nil)).To(Succeed()) }, NodeTimeout(testenv.LongTimeout))
	})

	uninstall := func(objects ...client.Object) {
		GinkgoHelper()
		for _, o := range objects {
			o.SetName(GuardPolicy)
			Expect(env.Client.Delete(f.ctx, o)).To(Succeed())
		}
	}

	It("no decision counts, and the analysis says what to install; nor does one of then count later", func() {
		uninstall(&admissionv1.ValidatingAdmissionPolicyBinding{}, &admissionv1.ValidatingAdmissionPolicy{})
		early, late := f.analysis(auto(80), decided(v1alpha1.VerdictApproved)), f.analysis()
		p := f.start(answers(says(undo(99))))
		p.investigated(early)
		p.investigated(late)
		f.alter(late, decided(v1alpha1.VerdictApproved))
		Expect(p.reconcile(late).RequeueAfter).To(BeNumerically(">", time.Minute))
		for _, a := range []*v1alpha1.AIAnalysis{early, late} {
			before := f.get(a)
			Expect(before.Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))
			c := meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionDecisionRefused)
			Expect(c).To(And(HaveField("Status", metav1.ConditionTrue), HaveField("Reason", "PolicyNotInForce"),
				HaveField("Message", And(ContainSubstring("ValidatingAdmissionPolicy holdfast-approval is not installed"), ContainSubstring("Install config/admission")))))
			Expect(meta.FindStatusCondition(before.Status.Conditions, v1alpha1.ConditionReady).Message).To(And(ContainSubstring("cancel the request and make it again"), Not(ContainSubstring("kubectl"))),
				"a decision is made once, so the command would not work")
			p.reconcile(a)
			Expect(f.get(a).ResourceVersion).To(Equal(before.ResourceVersion), "it is written once")
		}

		Expect(config.Install(f.ctx, env.Config, nil)).To(Succeed())
		for _, a := range []*v1alpha1.AIAnalysis{early, late} {
			p.reconcile(a)
			now := f.get(a)
			Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval), "nobody checked who wrote it")
			Expect(now.Status.Approval.Status).To(BeEmpty())
		}
	})

	It("or without its binding, no decision counts, and the wait ends", func() {
		uninstall(&admissionv1.ValidatingAdmissionPolicyBinding{})
		a := f.analysis()
		p := f.start(answers(says(undo(99))))
		p.investigated(a)
		f.alter(a, decided(v1alpha1.VerdictApproved))
		p.reconcile(a)
		Expect(f.get(a).Status.Phase).To(Equal(v1alpha1.AnalysisAwaitingApproval))
		f.pass(time.Hour)
		p.reconcile(a)
		now := f.get(a)
		Expect(now.Status.Phase).To(Equal(v1alpha1.AnalysisTimedOut))
		Expect(now.Status.FailureReason).To(ContainSubstring("no decision counted"))
	})

	It("the policy still approves what needs no person", func() {
		uninstall(&admissionv1.ValidatingAdmissionPolicyBinding{})
		now := f.start(answers(says(undo(99)))).investigated(f.analysis(auto(80)))
		Expect(now.Status.Approval.Status).To(Equal(v1alpha1.ApprovalAutoApproved))
	})
})

var _ = Describe("the look at the admission policy", func() {
	// installed are the two as they are delivered.
	installed := func() (*admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding) {
		GinkgoHelper()
		policy, binding := &admissionv1.ValidatingAdmissionPolicy{}, &admissionv1.ValidatingAdmissionPolicyBinding{}
		for _, o := range []client.Object{policy, binding} {
			Expect(env.Client.Get(context.Background(), client.ObjectKey{Name: GuardPolicy}, o)).To(Succeed())
		}
		return policy, binding
	}

	It("is content with what is delivered", func() {
		Expect(weakness(installed())).To(BeEmpty())
	})

	DescribeTable("sees what lets decisions through", func(weaken func(*admissionv1.ValidatingAdmissionPolicy, *admissionv1.ValidatingAdmissionPolicyBinding), expected string) {
		policy, binding := installed()
		weaken(policy, binding)
		Expect(weakness(policy, binding)).To(ContainSubstring(expected))
	},
		Entry("failures are ignored", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.FailurePolicy = ptr.To(admissionv1.Ignore)
		}, "failurePolicy"),
		Entry("it only warns", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.ValidationActions = []admissionv1.ValidationAction{admissionv1.Warn, admissionv1.Audit}
		}, "expected Deny"),
		Entry("another policy is bound", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.PolicyName = "other"
		}, `policyName of ValidatingAdmissionPolicyBinding holdfast-approval is "other"`),
		Entry("creation is not matched", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.MatchConstraints.ResourceRules[0].Operations = []admissionv1.OperationType{admissionv1.Update}
		}, "does not match CREATE and UPDATE"),
		Entry("another resource is matched", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.MatchConstraints.ResourceRules[0].Resources = []string{"workflowexecutions"}
		}, "does not match CREATE and UPDATE"),
		Entry("some names are matched", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.MatchConstraints.ResourceRules[0].ResourceNames = []string{"one"}
		}, "does not match CREATE and UPDATE"),
		Entry("some namespaces are bound", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.MatchResources = &admissionv1.MatchResources{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"audited": "yes"}}}
		}, "matchResources"),
		Entry("some objects are matched", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.MatchConstraints.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"audited": "yes"}}
		}, "leaves some resources out"),
		Entry("it does not look at the caller", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.Spec.Validations = []admissionv1.Validation{{Expression: "true"}}
		}, "request.userInfo.username"),
		Entry("it is being deleted", func(p *admissionv1.ValidatingAdmissionPolicy, _ *admissionv1.ValidatingAdmissionPolicyBinding) {
			p.DeletionTimestamp = ptr.To(metav1.Now())
		}, "being deleted"),
		Entry("it depends on parameters", func(_ *admissionv1.ValidatingAdmissionPolicy, b *admissionv1.ValidatingAdmissionPolicyBinding) {
			b.Spec.ParamRef = &admissionv1.ParamRef{Name: "params"}
		}, "paramRef"),
	)

	It("takes a refusal for an answer, and everything else for a reason to look again", func() {
		f := newFixture()
		p := f.start()
		gives := func(err error) client.Reader {
			return interceptor.NewClient(env.Client, interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
				return err
			}})
		}
		p.live = gives(apierrors.NewForbidden(schema.GroupResource{Resource: "validatingadmissionpolicies"}, GuardPolicy, nil))
		problem, err := p.unguarded(f.ctx)
		Expect(err).NotTo(HaveOccurred())
		Expect(problem).To(ContainSubstring("may not get ValidatingAdmissionPolicy"))
		p.live = gives(controllertest.ErrAway)
		_, err = p.unguarded(f.ctx)
		Expect(err).To(MatchError(controllertest.ErrAway))
	})
})

var _ = Describe("a justification", func() {
	It("is recorded whole, with the longest finding that there can be", func() {
		f := newFixture()
		finding := undo(99)
		finding.RootCause, finding.Recommendation.Rationale = strings.Repeat(`"`, 2<<20), strings.Repeat("\\", 2<<20)
		finding.Alternatives = nil
		for range 100 {
			finding.Alternatives = append(finding.Alternatives, alternative(strings.Repeat("\n\"", 5000)))
		}
		finding.Evidence = nil
		for range 100 {
			finding.Evidence = append(finding.Evidence, investigator.Evidence{Tool: strings.Repeat("t", 500), Purpose: strings.Repeat(`"`, 5000), Excerpt: strings.Repeat("<", 5000)})
		}
		justification := strings.Repeat("\U0001F512", 4096)
		a := f.analysis(decided(v1alpha1.VerdictApproved), func(a *v1alpha1.AIAnalysis) { a.Spec.Decision.Justification = justification })
		now := f.start(answers(says(finding))).investigated(a)
		Expect(now).To(controllertest.EndWithTrail("Approved/Completed/final"))
		r := lastRecord(now)
		Expect(r.ApprovalJustification).To(Equal(justification))
		Expect(r.RootCause).To(ContainSubstring("[cut: 2097152 bytes, sha256 "))
		Expect(now.Status.Evidence).To(HaveLen(investigator.MaxEvidence))
		Expect(r.Evidence).To(HaveExactElements(HaveField("Purpose", "20 things were looked at; the other texts leave no room for them")))
	})
})
