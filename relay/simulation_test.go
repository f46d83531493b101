package relay

import (
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"runtime/debug"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/holdfast-dev/holdfast/outbox"
)

// simulation is the whole protocol in one goroutine: two managers with the real outbox.Writer, tracker, flusher and reconciler, over a model of the API server
// and one of the store. Dice decide who acts next, what comes between two halves of an act, whose cache lags, which reply is lost and who dies. The models
// stand for servers that cannot be stopped at will; that the real ones keep the rules they are modelled by is what the other tests are for.
type simulation struct {
	dice
	ctx       context.Context
	config    Config
	clock     *testclock.FakeClock
	server    *modelServer
	store     *rows
	processes [2]*process
	mutant    mutant
	deep      bool // something acts in the middle of something else
	calm      bool // nothing goes wrong any more
	down      bool // the store is away

	appended map[types.UID]map[int64]noted
	appends  map[string]int // by token
	tokens   int
	restores int
	steps    int
	happened map[string]int
}

// noted is an entry as it was appended.
type noted struct{ id, hash, token string }

// dice decide. They are rapid's, or a generator with a seed.
type dice interface{ intn(n int) int }

type seeded struct{ *rand.Rand }

func (d seeded) intn(n int) int { return d.IntN(n) }

type drawn struct{ *rapid.T }

// intn draws bits, since rapid prefers small numbers: these dice would be loaded.
func (d drawn) intn(n int) int {
	number := 0
	for range bits.Len(uint(n)) + 3 {
		number *= 2
		if rapid.Bool().Draw(d.T, "dice") {
			number++
		}
	}
	return number % n
}

// one is true once in n times, and never when nothing goes wrong any more.
func (s *simulation) one(n int) bool { return !s.calm && s.intn(n) == n-1 }

// violation unwinds a run in which a promise was broken.
type violation string

func (s *simulation) violated(format string, args ...any) {
	panic(violation(fmt.Sprintf(format, args...)))
}

func newSimulation(d dice, m mutant) *simulation {
	clock := testclock.NewFakeClock(begin)
	s := &simulation{dice: d, mutant: m, clock: clock, ctx: logf.IntoContext(context.Background(), logr.Discard()),
		store:    &rows{byID: map[string]string{}, letters: map[string]bool{}, durable: map[string]bool{}},
		appended: map[types.UID]map[int64]noted{}, appends: map[string]int{}, happened: map[string]int{}}
	s.config = Config{Clock: clock}
	s.config.setDefaults()
	s.config.BatchRows = 1 + d.intn(4)
	if d.intn(2) == 0 { // an outbox is soon too full, and trimmed at once
		s.config.Limits.SoftBytes, s.config.Limits.HardEntries = 1, 8
	}
	s.server = &modelServer{live: map[string]*notification{}, now: clock.Now, saw: s.saw, unlocked: m.unlocked}
	s.server.create(simulated[0])
	for i := range s.processes {
		s.processes[i] = s.start()
	}
	return s
}

// run takes so many steps, finishes, and returns what was violated.
func (s *simulation) run(steps int) (broken string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case violation:
			broken = string(r)
		default:
			broken = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	for range steps {
		s.step(s.processes[s.intn(2)])
	}
	s.finish()
	return ""
}

// step is one act of one process or of people.
func (s *simulation) step(p *process) {
	s.steps++
	defer s.replaceDead()
	if !s.deep {
		s.outage()
	}
	name := simulated[s.intn(len(simulated))]
	switch n := s.intn(100); {
	case n < 20:
		for range 1 + s.intn(4) {
			p.deliver()
		}
	case n < 48:
		p.control(name)
	case n < 70:
		p.reconcile(name)
	case n < 84:
		p.flush()
	case n < 86:
		p.relist()
	case n < 88:
		s.replace(p)
	case n < 90:
		s.clock.Step([]time.Duration{time.Second, 11 * time.Second, 31 * time.Second}[s.intn(3)])
	default:
		s.people(name, n-90)
	}
}

// people make, delete, label and change resources. Now and then somebody restores etcd.
func (s *simulation) people(name string, n int) {
	switch {
	case n < 3 && s.intn(2) == 0:
		s.server.create(name)
	case n < 3:
		s.server.create(name, outbox.Finalizer)
	case n < 5:
		s.server.delete(name)
	case n < 8:
		s.server.touch(name, "label")
	case n < 9:
		s.server.touch(name, "spec")
	case !s.deep && s.happened[lostByRestore] == 0: // both etcd and the database restored under running managers is more than is promised
		s.server.restore(name, s.intn(6))
	}
}

const lostByRestore = "row lost by a restore"

// outage begins now and then, and ends once every manager has noticed.
func (s *simulation) outage() {
	switch {
	case !s.down:
		s.down = s.one(80)
		if s.down {
			s.happened["outage"]++
		}
	case s.calm || s.noticed() && s.intn(4) == 0:
		s.up()
	}
}

// noticed reports whether all managers know that the store is away, or believe nothing of it.
func (s *simulation) noticed() bool {
	for _, p := range s.processes {
		for _, r := range p.kind.tracker.resources {
			if p.flusher.breaker.reason() == nil && r.watermark.Sequence != 0 {
				return false
			}
		}
	}
	return true
}

// up ends an outage. Now and then the store comes back older: what is still in a resource with its finalizer may be lost then, and must come again.
func (s *simulation) up() {
	s.down = false
	if !s.noticed() || s.restores > 0 || s.intn(2) == 0 {
		return
	}
	standing := map[string]bool{}
	for _, obj := range s.server.live {
		if obj.Status.Outbox != nil && len(obj.Finalizers) > 0 {
			for _, e := range entriesOf(obj.Status.Outbox) {
				standing[e.hash] = true
			}
		}
	}
	s.happened[lostByRestore] += s.store.lose(s.intn(len(s.store.log)+1), standing)
}

// meanwhile lets somebody else act in the middle of what p does.
func (s *simulation) meanwhile(p *process) {
	if s.deep || !s.one(6) {
		return
	}
	s.deep = true
	defer func() { s.deep = false }()
	for _, other := range s.processes {
		if other != p {
			s.step(other)
			return
		}
	}
}

// replaceDead replaces a process that has died in the middle of an act by one that knows nothing.
func (s *simulation) replaceDead() {
	switch r := recover().(type) {
	case nil:
	case died:
		s.happened["death"]++
		s.replace(r.p)
	default:
		panic(r)
	}
}

func (s *simulation) replace(p *process) {
	for i := range s.processes {
		if s.processes[i] == p {
			s.processes[i] = s.start()
		}
	}
}

// finish lets everybody do what is left, with nothing in the way, and asks for what was promised for the end.
func (s *simulation) finish() {
	s.calm = true
	s.outage()
	for range 6 {
		for _, p := range s.processes {
			p.relist()
			for _, name := range simulated {
				if obj := s.server.live[name]; obj != nil && obj.DeletionTimestamp != nil {
					p.control(name)
					p.relist()
				}
				p.reconcile(name)
			}
			for n := p.flush(); n > 0; {
				n = p.flush()
			}
			for _, name := range simulated {
				p.reconcile(name)
			}
			p.relist()
		}
		s.clock.Step(31 * time.Second)
	}
	s.quiescent()
}

const stepsEach = 80

// Every run is fixed by its seed: a failure is repeated by it, and rapid's (below) is shortened too.
func TestTheProtocolInManyInterleavings(t *testing.T) {
	n, steps, happened := interleavings, 0, map[string]int{}
	for seed := range uint64(n) {
		s := newSimulation(seeded{rand.New(rand.NewPCG(seed, 0))}, mutant{})
		if broken := s.run(stepsEach); broken != "" {
			t.Fatalf("seed %d, after %d steps: %s", seed, s.steps, broken)
		}
		steps += s.steps
		for what, times := range s.happened {
			happened[what] += times
		}
	}
	t.Logf("%d interleavings, %d steps: %v", n, steps, happened)
}

func TestTheProtocol(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if broken := newSimulation(drawn{t}, mutant{}).run(stepsEach); broken != "" {
			t.Fatal(broken)
		}
	})
}
