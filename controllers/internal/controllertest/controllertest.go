package controllertest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/onsi/gomega"
	"github.com/onsi/gomega/gcustom"
	"github.com/onsi/gomega/types"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/holdfast-dev/holdfast/outbox"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/outbox/outboxtest"
)

// Clock stands still until it is moved.
type Clock struct{ *testclock.FakePassiveClock }

// NewClock starts at the present second. A resource's creation time has whole seconds, so it is not later.
func NewClock() Clock { return Clock{testclock.NewFakePassiveClock(time.Now().Truncate(time.Second))} }

// Pass moves the clock forward.
func (c Clock) Pass(d time.Duration) { c.SetTime(c.Now().Add(d)) }

// Entries are the pending entries of a resource, oldest first. One that cannot be read is a fault of the controller.
func Entries(obj outbox.Object) []entry.Entry {
	p := entry.PendingOf(obj.GetUID(), outboxapi.Get(obj))
	all := make([]entry.Entry, p.Len())
	for i := range all {
		var err error
		if all[i], err = entry.Decode([]byte(p.Text(i))); err != nil {
			panic(err)
		}
	}
	return all
}

// Trail is the entries in a resource's outbox, each as event/phase, or event/phase/final.
func Trail(obj outbox.Object) []string { return outboxtest.Trail(Entries(obj)) }

// HaveTrail succeeds for a resource whose entries are these, as Trail writes them.
func HaveTrail(entries ...string) types.GomegaMatcher {
	return gomega.WithTransform(Trail, gomega.Equal(entries))
}

// EndWithTrail succeeds for a resource whose newest entries are these, as Trail writes them.
func EndWithTrail(entries ...string) types.GomegaMatcher {
	return gcustom.MakeMatcher(func(obj outbox.Object) (bool, error) {
		trail := Trail(obj)
		return gomega.Equal(entries).Match(trail[max(0, len(trail)-len(entries)):])
	}).WithTemplate("Expected the trail of\n{{.FormattedActual}}\n{{.To}} end with\n{{format .Data 1}}", entries)
}

// Record is the audit record, of type R, in an entry of a resource's outbox.
func Record[R any](obj outbox.Object, entry int) (R, error) {
	var record R
	err := json.Unmarshal(Entries(obj)[entry].Record, &record)
	return record, err
}

// LastRecord is the audit record in the newest entry.
func LastRecord[R any](obj outbox.Object) (R, error) {
	return Record[R](obj, len(outboxapi.Get(obj).Entries)-1)
}

// ErrAway is the error of the writes that fail here.
var ErrAway = errors.New("the API server is away")

// LoseStatusWrite makes the nth write of a status fail before it reaches the API server.
func LoseStatusWrite(nth int) interceptor.Funcs {
	return statusWrites(func(n int, write func() error) error {
		if n == nth {
			return ErrAway
		}
		return write()
	})
}

// LoseStatusReply makes the nth write of a status fail after the API server has carried it out.
func LoseStatusReply(nth int) interceptor.Funcs {
	return statusWrites(func(n int, write func() error) error {
		if err := write(); err != nil || n != nth {
			return err
		}
		return ErrAway
	})
}

// LoseStatusWritesFrom makes the nth write of a status and all later ones fail, as long as away says so, before they reach the API server.
func LoseStatusWritesFrom(nth int, away func() bool) interceptor.Funcs {
	return statusWrites(func(n int, write func() error) error {
		if n >= nth && away() {
			return ErrAway
		}
		return write()
	})
}

// statusWrites passes each write of a status, with its number from 1, to handle.
func statusWrites(handle func(n int, write func() error) error) interceptor.Funcs {
	n := 0
	return interceptor.Funcs{SubResourceUpdate: func(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
		n++
		return handle(n, func() error { return c.SubResource(sub).Update(ctx, obj, opts...) })
	}}
}
