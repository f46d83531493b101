package relay

import (
	"math/rand/v2"
	"testing"
)

// mutant is the protocol with one guard less. The zero value is the protocol.
type mutant struct {
	// untested are tests that are left out of JSON patches.
	untested map[string]bool
	// bySequence: a watermark covers an entry of its sequence, whatever its hash.
	bySequence bool
	// finalizerLate: it is added after the first append.
	finalizerLate bool
	// unlocked: status writes don't test the resource version.
	unlocked bool
	// acknowledgesRollback: the store says that it has what it has not.
	acknowledgesRollback bool
	// retries: a loop around what appends.
	retries bool
	// trustsInOutage: what was known to be durable counts while the store is away. trustsAfterOutage: also when it is back.
	trustsInOutage, trustsAfterOutage bool
}

// A simulation that finds nothing proves something only if it finds what is there.
func TestTheSimulationFindsWhatIsMissing(t *testing.T) {
	const most = 20000
	for name, m := range map[string]mutant{
		"a release that tests neither uid nor head": {untested: map[string]bool{"release /metadata/uid": true, "release /status/outbox/headHash": true, "release /status/outbox/closed": true}},
		"a trim that does not test what is trimmed": {untested: map[string]bool{"trim /status/outbox/persistedSequence": true}},
		"a trim that does not test the head":        {untested: map[string]bool{"trim /status/outbox/headHash": true}},
		"an acknowledgement by sequence alone":      {bySequence: true},
		"a finalizer after the first entry":         {finalizerLate: true},
		"a status write without resource version":   {unlocked: true},
		"a store that acknowledges a rollback":      {acknowledgesRollback: true},
		"a retry loop around an append":             {retries: true},
		"an outage that begins with watermarks":     {trustsInOutage: true},
		"an outage that ends with watermarks":       {trustsAfterOutage: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(most) {
				if broken := newSimulation(seeded{rand.New(rand.NewPCG(seed, 0))}, m).run(stepsEach); broken != "" {
					t.Logf("found by interleaving %d: %s", seed+1, broken)
					return
				}
			}
			t.Errorf("not found in %d interleavings", most)
		})
	}
}
