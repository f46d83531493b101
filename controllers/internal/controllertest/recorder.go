package controllertest

import (
	"fmt"
	"strings"
	"unicode"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/outbox"
)

// Recorder keeps Events, and checks what holds of each: its note says more than its reason, and the resource has the condition Finished if and only if its record is closed.
type Recorder struct {
	*events.FakeRecorder
	fail func(string)
}

// NewRecorder makes one that keeps up to 1,000 Events. fail is told what is wrong.
func NewRecorder(fail func(string)) *Recorder {
	return &Recorder{FakeRecorder: events.NewFakeRecorder(1000), fail: fail}
}

// Eventf implements events.EventRecorder.
func (r *Recorder) Eventf(regarding, related runtime.Object, eventType, reason, action, note string, args ...any) {
	text := fmt.Sprintf(note, args...)
	if said := letters(text); said == "" || said == letters(reason) {
		r.fail(fmt.Sprintf("Event %s says no more than its reason: %q", reason, text))
	}
	if o, ok := regarding.(outbox.Object); ok {
		r.checkFinished(o)
	}
	r.FakeRecorder.Eventf(regarding, related, eventType, reason, action, note, args...)
}

func (r *Recorder) checkFinished(o outbox.Object) {
	status, conditions := o.OutboxStatus()
	closed := status.Outbox != nil && status.Outbox.Closed
	ready, finished := meta.FindStatusCondition(*conditions, v1alpha1.ConditionReady), meta.FindStatusCondition(*conditions, v1alpha1.ConditionFinished)
	switch {
	case closed != meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionFinished):
		r.fail(fmt.Sprintf("the record of %s is closed: %t, its condition Finished is %+v", o.GetName(), closed, finished))
	case closed && (ready == nil || finished.Reason != ready.Reason):
		r.fail(fmt.Sprintf("%s: Finished is %+v, Ready is %+v", o.GetName(), finished, ready))
	}
}

// letters leaves out everything else.
func letters(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, text)
}
