package kindcheck_test

import (
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/kindcheck"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
)

// kind is what all of them have.
type kind struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
}

type status struct {
	outboxapi.Status `json:",inline"`

	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

func (s *status) deepCopy() status {
	return status{Status: *s.Status.DeepCopy(), Conditions: append([]metav1.Condition(nil), s.Conditions...)}
}

type good struct {
	kind
	Status status `json:"status"`
}

func (g *good) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &g.Status.Status, &g.Status.Conditions
}
func (g *good) DeepCopyObject() runtime.Object {
	return &good{kind: g.kind, Status: g.Status.deepCopy()}
}

type without struct{ good }

func (w *without) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) { return nil, nil }

type copied struct{ good }

func (c *copied) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	s := c.Status
	return &s.Status, nil
}

type strangers struct{ good }

func (s *strangers) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &s.Status.Status, &[]metav1.Condition{}
}

type shallow struct {
	kind
	Status status `json:"status"`
}

func (s *shallow) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &s.Status.Status, nil
}
func (s *shallow) DeepCopyObject() runtime.Object { c := *s; return &c }

type nested struct {
	kind
	Status struct {
		Audit outboxapi.Status `json:"audit"`
	} `json:"status"`
}

func (n *nested) OutboxStatus() (*outboxapi.Status, *[]metav1.Condition) {
	return &n.Status.Audit, nil
}
func (n *nested) DeepCopyObject() runtime.Object { return n }

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		kind kindcheck.Kind
		want string
	}{
		"a kind as it should be":         {&good{}, ""},
		"one of ours":                    {&v1alpha1.NotificationRequest{}, ""},
		"a typed nil":                    {(*v1alpha1.AIAnalysis)(nil), ""},
		"no kind":                        {nil, "expected a pointer to the struct of a kind"},
		"no status":                      {&without{}, "OutboxStatus returned no status; return the address of the outboxapi.Status"},
		"a copy of the status":           {&copied{}, "its JSON has no status.outbox after OutboxStatus set one; embed outboxapi.Status"},
		"an outbox at another place":     {&nested{}, "its JSON has no status.outbox"},
		"conditions of something else":   {&strangers{}, "its JSON has no status.conditions"},
		"a deep copy from before it had": {&shallow{}, "DeepCopyObject does not copy the outbox; run `controller-gen object` again"},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			err := kindcheck.Check(c.kind)
			if c.want == "" {
				g.Expect(err).NotTo(HaveOccurred())
				return
			}
			g.Expect(err).To(MatchError(And(ContainSubstring("cannot be audited"), ContainSubstring(c.want))))
		})
	}
}
