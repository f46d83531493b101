package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

// Whoever may write the status may not be the controller, which must not end in a panic.
func TestADeadlineIsThereWhateverTheStatusSays(t *testing.T) {
	g := NewWithT(t)
	a := &v1alpha1.AIAnalysis{}
	a.CreationTimestamp = metav1.NewTime(time.Date(2026, 11, 23, 4, 5, 6, 0, time.UTC))
	for _, p := range []*v1alpha1.Approval{nil, {Required: true}} {
		a.Status.Approval = p
		g.Expect(lifecycle.ApprovalDeadline(a)).To(Equal(a.CreationTimestamp.Add(time.Hour)))
	}
}

// Names and parameters are as long as they may be: the command stays whole.
func TestWhatIsToBeDecidedFitsAnEvent(t *testing.T) {
	g := NewWithT(t)
	a := &v1alpha1.AIAnalysis{}
	a.Namespace, a.Name = strings.Repeat("n", 63), strings.Repeat("a", 253)
	a.Status.Recommendation = &v1alpha1.Recommendation{WorkflowID: strings.Repeat("w", 63), Confidence: 100, Parameters: map[string]string{"image": strings.Repeat("x\n", 5000)}}
	text := lifecycle.DecisionWanted(a, time.Date(2026, 11, 23, 4, 5, 6, 7, time.UTC))
	g.Expect(len(text)).To(BeNumerically("<=", 1000))
	g.Expect(text).To(And(HaveSuffix(`"}}}'`), ContainSubstring("before 2026-11-23T04:05:06Z: kubectl -n "+a.Namespace+" patch aianalysis "+a.Name+" --type=merge -p '{"), Not(ContainSubstring("\n"))))
}
