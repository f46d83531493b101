package aianalysis

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/testenv"
	"github.com/holdfast-dev/holdfast/outbox"
)

var _ = Describe("a credential in what comes from outside", func() {
	// Put together here, so that no scanner takes this file for a leak.
	token := "ghp_" + strings.Repeat("aB3d", 9)
	key := strings.Repeat("c5Zq", 12)
	text := fmt.Sprintf("clone https://x:%s@git.example.com failed with %s\n-----BEGIN %s KEY-----\n%s\n-----END %s KEY-----", key, token, "PRIVATE", key, "PRIVATE")

	DescribeTable("reaches no status, entry, row, Event or log", func(e *expert, phase v1alpha1.AnalysisPhase) {
		f := newFixture()
		f.crashingDeployment()
		f.complain(text)
		logs := gbytes.NewBuffer()
		GinkgoWriter.TeeTo(logs)
		DeferCleanup(GinkgoWriter.ClearTeeWriters)
		stop, err := env.StartManager(func(mgr ctrl.Manager, w *outbox.Writer) error {
			var options []Option
			if e != nil {
				options = append(options, WithInvestigator(e))
			}
			r, err := New(mgr.GetClient(), mgr.GetAPIReader(), w, mgr.GetEventRecorder("holdfast"), options...)
			if err != nil {
				return err
			}
			return r.SetupWithManager(mgr, 2)
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() { Expect(stop()).To(Succeed()) })
		a := f.analysis(auto(80))
		Eventually(func() v1alpha1.AnalysisPhase { return f.get(a).Status.Phase }, testenv.LongTimeout, testenv.Interval).Should(Equal(phase))
		Eventually(func() int { return len(f.get(a).Status.Outbox.Entries) }, testenv.LongTimeout, testenv.Interval).Should(BeZero())

		clean := And(Not(ContainSubstring(token)), Not(ContainSubstring(key)))
		status, err := json.Marshal(f.get(a))
		Expect(err).NotTo(HaveOccurred())
		Expect(string(status)).To(And(clean, ContainSubstring("[redacted: github-token]"), ContainSubstring("[redacted: password]")))
		rows, err := env.Rows(f.ctx, "ai_analysis_audit", a.UID)
		Expect(err).NotTo(HaveOccurred())
		Expect(fmt.Sprint(rows)).To(And(clean, ContainSubstring("[redacted: github-token]")))
		events := &eventsv1.EventList{}
		Expect(env.Client.List(f.ctx, events, client.InNamespace(f.namespace))).To(Succeed())
		for _, event := range events.Items {
			if event.Regarding.UID == a.UID {
				Expect(event.Note).To(clean)
			}
		}
		Expect(string(logs.Contents())).To(clean)
	},
		Entry("an event of Kubernetes and a kubelet's message, which the rules quote", nil, v1alpha1.AnalysisCompleted),
		Entry("a model's answer", &expert{replies: []reply{says(investigator.Finding{RootCause: text, RootCauseConfidence: 90, NoActionReason: text, Alternatives: []investigator.Alternative{alternative(text)}})}}, v1alpha1.AnalysisCompleted),
		Entry("a server's error", &expert{replies: []reply{fails(text)}}, v1alpha1.AnalysisFailed),
	)
})

// complain makes a kubelet's message and an event of the crashing pod.
func (f *fixture) complain(text string) {
	GinkgoHelper()
	pod := &corev1.Pod{}
	Expect(env.Client.Get(f.ctx, client.ObjectKey{Namespace: f.namespace, Name: "cart-2-x"}, pod)).To(Succeed())
	pod.Status.ContainerStatuses[0].State.Waiting.Message = text
	Expect(env.Client.Status().Update(f.ctx, pod)).To(Succeed())
	Expect(env.Client.Create(f.ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "complaint"}, Type: corev1.EventTypeWarning, Reason: "BackOff", Message: text,
		InvolvedObject: corev1.ObjectReference{Kind: "Pod", Namespace: f.namespace, Name: pod.Name, UID: pod.UID}, LastTimestamp: metav1.NewTime(time.Now()),
	})).To(Succeed())
}
