package remediation

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

var begin = time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC)

func at(seconds int) time.Time { return begin.Add(time.Duration(seconds) * time.Second) }

func instant(seconds int) *outboxapi.Time { return outboxapi.NewTimePointer(at(seconds)) }

// history is a request that entered each phase at a second.
func history(phases ...any) *v1alpha1.RemediationRequest {
	rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(begin)}}
	for i := 0; i < len(phases); i += 2 {
		move(&rr.Status, phases[i].(v1alpha1.RemediationPhase), at(phases[i+1].(int)))
	}
	return rr
}

func TestBottleneckIsTheLongestPart(t *testing.T) {
	const (
		pending   = v1alpha1.RemediationPending
		analyzing = v1alpha1.RemediationAnalyzing
		awaiting  = v1alpha1.RemediationAwaitingApproval
		executing = v1alpha1.RemediationExecuting
		notifying = v1alpha1.RemediationNotifying
		completed = v1alpha1.RemediationCompleted
	)
	for name, c := range map[string]struct {
		phases  []any
		set     func(*v1alpha1.RemediationRequestStatus)
		phase   string
		seconds int64
	}{
		"the analysis": {[]any{pending, 0, analyzing, 1, executing, 41, notifying, 61, completed, 62},
			func(s *v1alpha1.RemediationRequestStatus) {
				s.AnalysisStartedTime, s.WorkflowStartedTime = instant(2), instant(42)
			}, bottleneckAnalysis, 39},
		"the approval": {[]any{pending, 0, analyzing, 1, awaiting, 11, executing, 611, notifying, 631, completed, 632},
			func(s *v1alpha1.RemediationRequestStatus) {
				s.AnalysisStartedTime, s.ApprovalRequestedTime, s.ApprovalDecidedTime, s.WorkflowStartedTime = instant(1), instant(11), instant(610), instant(611)
			}, bottleneckApproval, 599},
		"the notification": {[]any{pending, 0, analyzing, 1, notifying, 2, completed, 300}, func(*v1alpha1.RemediationRequestStatus) {}, bottleneckNotification, 298},
		"a child that nobody picked up": {[]any{pending, 0, analyzing, 1, executing, 101, notifying, 102, completed, 103},
			func(s *v1alpha1.RemediationRequestStatus) { s.AnalysisStartedTime = instant(95) }, bottleneckQueueing, 96},
		"cancelled in the middle of the workflow": {[]any{pending, 0, analyzing, 1, executing, 3, v1alpha1.RemediationCancelled, 33},
			func(s *v1alpha1.RemediationRequestStatus) {
				s.AnalysisStartedTime, s.WorkflowStartedTime = instant(1), instant(3)
			}, bottleneckWorkflow, 30},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			rr := history(c.phases...)
			c.set(&rr.Status)
			finish(rr, at(c.phases[len(c.phases)-1].(int)))
			g.Expect(*rr.Status.Bottleneck).To(Equal(v1alpha1.Bottleneck{Phase: c.phase, DurationSeconds: c.seconds}))
		})
	}
}

func TestAnUnknownPhaseIsLeftAsItIs(t *testing.T) {
	g := NewWithT(t)
	rr := &v1alpha1.RemediationRequest{Status: v1alpha1.RemediationRequestStatus{Phase: "Negotiating"}}
	before := rr.DeepCopy()
	result, err := (&Reconciler{}).proceed(t.Context(), &scope{rr: rr})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(result).To(BeZero())
	g.Expect(rr).To(Equal(before))
}

func TestTransitionsKeepTheTimeSpent(t *testing.T) {
	g := NewWithT(t)
	st := history(v1alpha1.RemediationPending, 0, v1alpha1.RemediationAnalyzing, 2, v1alpha1.RemediationFailed, 7).Status
	g.Expect(st.Transitions).To(HaveLen(3))
	g.Expect(st.Transitions[0].Duration).To(BeNil())
	g.Expect(st.Transitions[1].Duration.Duration).To(Equal(2 * time.Second))
	g.Expect(st.Transitions[2]).To(HaveField("From", v1alpha1.RemediationAnalyzing))
	g.Expect(st.Transitions[2].Duration.Duration).To(Equal(5 * time.Second))
}

func TestOverdueNamesTheLimit(t *testing.T) {
	g := NewWithT(t)
	rr := history(v1alpha1.RemediationPending, 0, v1alpha1.RemediationAnalyzing, 10)
	rr.Spec.Timeouts = v1alpha1.RemediationTimeouts{Analysis: &metav1.Duration{Duration: time.Minute}, Total: &metav1.Duration{Duration: time.Hour}}
	reason, next := overdue(rr, at(20))
	g.Expect(reason).To(BeEmpty())
	g.Expect(next).To(Equal(80*time.Second), "a minute and the grace, from the phase's begin")
	reason, _ = overdue(rr, at(101))
	g.Expect(reason).To(Equal("Phase Analyzing exceeded its timeout of 1m0s"))
	reason, _ = overdue(rr, at(3600))
	g.Expect(reason).To(Equal("The request exceeded its total timeout of 1h0m0s"))
}

func TestChildNamesFitAndDiffer(t *testing.T) {
	g := NewWithT(t)
	long := make([]byte, 253)
	for i := range long {
		long[i] = 'a'
	}
	a := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Name: string(long), UID: "1"}}
	b := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Name: string(long), UID: "2"}}
	names := func(rr *v1alpha1.RemediationRequest) (all []string) {
		children := slotsOf(rr)
		for _, l := range children.all() {
			all = append(all, l.childName(rr))
		}
		return all
	}
	for _, name := range append(names(a), names(b)...) {
		g.Expect(validation.IsDNS1123Subdomain(name)).To(BeEmpty(), name)
	}
	g.Expect(append(names(a), names(b)...)).To(HaveLen(len(sets.New(append(names(a), names(b)...)...))), "all differ")
}

// Names of children are names, whatever the request is called: cut or not, wherever the dots and dashes are.
func TestChildNamesAreNames(t *testing.T) {
	label := rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		name := strings.Join(rapid.SliceOfN(label, 1, 60).Draw(t, "labels"), ".")
		name = strings.Trim(name[:min(len(name), 253)], ".-")
		if wrong := validation.IsDNS1123Subdomain(name); wrong != nil {
			t.Fatalf("%q is no name of a request: %v", name, wrong)
		}
		rr := &v1alpha1.RemediationRequest{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(rapid.String().Draw(t, "uid"))}}
		names := sets.New[string]()
		children := slotsOf(rr)
		for _, l := range children.all() {
			child := l.childName(rr)
			if wrong := validation.IsDNS1123Subdomain(child); wrong != nil {
				t.Fatalf("%q, a child of %q: %v", child, name, wrong)
			}
			names.Insert(child)
		}
		if len(names) != 5 {
			t.Fatalf("children of %q share a name: %v", name, names.UnsortedList())
		}
	})
}
