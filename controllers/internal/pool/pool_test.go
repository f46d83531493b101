package pool_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/gomega"
	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/controllers/internal/pool"
)

// timeout bounds waits for what happens at once, on a busy machine.
const timeout = 30 * time.Second

func resource(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func keyOf(r types.NamespacedName, attempt int32) pool.Key {
	return pool.Key{Resource: r, UID: "uid", Attempt: attempt}
}

// fixture is a pool, and the resources that it woke.
type fixture struct {
	*WithT
	*pool.Pool[string]
	woken chan types.NamespacedName
}

func newFixture(t *testing.T, c pool.Config) *fixture {
	t.Helper()
	t.Cleanup(func() { goleak.VerifyNone(t) })
	f := &fixture{WithT: NewWithT(t), Pool: pool.New(c, func(err error) string { return err.Error() }), woken: make(chan types.NamespacedName, 100)}
	f.Notify(func(r types.NamespacedName) { f.woken <- r })
	t.Cleanup(f.Close)
	return f
}

// start acquires a slot and makes an attempt in it.
func (f *fixture) start(key pool.Key, run func(context.Context) string) {
	f.Expect(f.Acquire(key.Resource, 1)).To(Equal(1))
	f.Start(context.Background(), key, timeout, run)
}

func (f *fixture) expectWoken(r types.NamespacedName) {
	f.Eventually(f.woken, timeout).Should(Receive(Equal(r)))
}

func (f *fixture) expectState(key pool.Key, want pool.State) {
	_, state := f.Look(key)
	f.Expect(state).To(Equal(want))
}

func returns(result string) func(context.Context) string {
	return func(context.Context) string { return result }
}

// untilCancelled runs until its context ends.
func untilCancelled(ctx context.Context) string { <-ctx.Done(); return ctx.Err().Error() }

func TestAResultStaysUntilItIsDropped(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 1})
	cart := keyOf(resource("shop", "cart"), 1)
	f.expectState(cart, pool.Unknown)
	f.start(cart, returns("done"))
	f.expectWoken(cart.Resource)
	for range 2 {
		result, state := f.Look(cart)
		f.Expect(result).To(Equal("done"))
		f.Expect(state).To(Equal(pool.Ended))
	}
	f.expectState(keyOf(cart.Resource, 2), pool.Unknown)
	f.Drop(cart)
	f.expectState(cart, pool.Unknown)
	f.Expect(f.Len()).To(BeZero())
}

func TestAnAttemptOutlivesTheReconcileThatStartedIt(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 1})
	cart := keyOf(resource("shop", "cart"), 1)
	goOn := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	f.Expect(f.Acquire(cart.Resource, 1)).To(Equal(1))
	f.Start(ctx, cart, timeout, func(ctx context.Context) string { <-goOn; return orAlive(ctx.Err()) })
	cancel()
	f.expectState(cart, pool.Running)
	close(goOn)
	f.expectWoken(cart.Resource)
	result, _ := f.Look(cart)
	f.Expect(result).To(Equal("alive"))
}

func orAlive(err error) string {
	if err == nil {
		return "alive"
	}
	return err.Error()
}

func TestAnAttemptEndsWithItsTimeout(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 1})
	cart := keyOf(resource("shop", "cart"), 1)
	f.Expect(f.Acquire(cart.Resource, 1)).To(Equal(1))
	f.Start(context.Background(), cart, time.Millisecond, untilCancelled)
	f.expectWoken(cart.Resource)
	result, _ := f.Look(cart)
	f.Expect(result).To(Equal(context.DeadlineExceeded.Error()))
}

func TestSlotsAreBounded(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 5, SlotsPerNamespace: 3})
	f.Expect(f.Acquire(resource("shop", "a"), 2)).To(Equal(2))
	f.Expect(f.Acquire(resource("shop", "b"), 2)).To(Equal(1), "the namespace has used its slots")
	f.Expect(f.Acquire(resource("bank", "c"), 3)).To(Equal(2), "all slots are used")
	f.Expect(f.Acquire(resource("bank", "d"), 1)).To(BeZero())
	f.Release("shop", 3)
	f.Release("bank", 2)
	f.Expect(f.Acquire(resource("shop", "a"), 5)).To(Equal(3))
}

func TestASlotWakesWhoWaitedLongestAndCanUseIt(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 3, SlotsPerNamespace: 2})
	f.Expect(f.Acquire(resource("shop", "a"), 2)).To(Equal(2))
	f.Expect(f.Acquire(resource("bank", "b"), 1)).To(Equal(1))
	for _, waits := range []types.NamespacedName{resource("shop", "first"), resource("bank", "second"), resource("bank", "third")} {
		for range 2 {
			f.Expect(f.Acquire(waits, 1)).To(BeZero())
		}
	}
	f.Release("bank", 1)
	f.expectWoken(resource("bank", "second"))
	f.Release("shop", 1)
	f.expectWoken(resource("shop", "first"))
	f.DropAll(resource("bank", "third"))
	f.Release("shop", 1)
	f.Expect(f.woken).To(BeEmpty(), "nobody waits any more")
}

func TestKeepOnlyCancelsOtherAttemptsOfTheResource(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 3})
	cart, other := resource("shop", "cart"), keyOf(resource("shop", "other"), 1)
	for _, key := range []pool.Key{keyOf(cart, 1), keyOf(cart, 2), other} {
		f.start(key, untilCancelled)
	}
	f.KeepOnly(keyOf(cart, 2))
	f.expectState(keyOf(cart, 1), pool.Unknown)
	f.expectState(keyOf(cart, 2), pool.Running)
	f.expectState(other, pool.Running)
	f.KeepOnly(keyOf(cart, 3))
	f.Expect(f.Len()).To(Equal(1))
}

func TestDropAllCancelsAndKeepsTheSlotUntilTheAttemptReturns(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 2})
	cart := resource("shop", "cart")
	goOn := make(chan struct{})
	f.start(keyOf(cart, 1), returns("done"))
	f.expectWoken(cart)
	f.start(keyOf(cart, 2), func(ctx context.Context) string { <-ctx.Done(); <-goOn; return "late" })
	f.DropAll(cart)
	f.Expect(f.Len()).To(BeZero())
	f.Expect(f.Acquire(cart, 2)).To(Equal(1), "the second attempt has not returned")
	close(goOn)
	f.Wait()
	f.expectState(keyOf(cart, 2), pool.Unknown)
	f.Expect(f.Acquire(cart, 2)).To(Equal(1))
	f.Expect(f.woken).To(BeEmpty(), "nobody waits for a result that was dropped")
}

func TestCloseDiscardsTheResultsOfInterruptedAttempts(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 2})
	cart := keyOf(resource("shop", "cart"), 1)
	f.start(cart, untilCancelled)
	f.Close()
	f.expectState(cart, pool.Running)
	f.Expect(f.woken).To(BeEmpty())

	late := keyOf(resource("shop", "late"), 1)
	f.start(late, func(context.Context) string { panic("an attempt was started after the end") })
	f.Wait()
	f.expectState(late, pool.Unknown)
}

// What a receiver answers may make an attempt panic. That is its result, and its slot is free again.
func TestAPanicIsTheResultOfItsAttempt(t *testing.T) {
	f := newFixture(t, pool.Config{Slots: 1})
	var logged strings.Builder
	ctx := logf.IntoContext(context.Background(), funcr.New(func(_, line string) { logged.WriteString(line) }, funcr.Options{}))
	cart := keyOf(resource("shop", "cart"), 1)
	f.Expect(f.Acquire(cart.Resource, 1)).To(Equal(1))
	f.Start(ctx, cart, timeout, func(context.Context) string { panic("hostile") })
	f.expectWoken(cart.Resource)
	result, state := f.Look(cart)
	f.Expect(state).To(Equal(pool.Ended))
	f.Expect(result).To(Equal("the attempt panicked: hostile"))
	f.Expect(logged.String()).To(And(ContainSubstring("the attempt panicked: hostile"), ContainSubstring("pool_test.go")))
	f.Expect(f.Acquire(cart.Resource, 1)).To(Equal(1))
}
