package lifecycle_test

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/controllers/internal/lifecycle"
)

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
