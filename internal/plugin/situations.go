package plugin

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/postgres"
)

// decide returns the first situation that fits. The order is that of urgency: what keeps a resource from being deleted, what keeps it from being audited, what its controller waits for.
func (f *facts) decide() *explanation {
	var all []func(*facts) *explanation
	if f.r.terminating() {
		all = append(all, unsupportedEntries, unattended, storeAway, openRecord, draining, foreignFinalizer, dependents)
	}
	all = append(all, tooLarge, outboxFull, unsupportedEntries, restoredEtcd, deadLetter, undrainedClosed, refusals, unattended, workOfKind, storeAway, draining, ended)
	for _, situation := range all {
		if e := situation(f); e != nil {
			return e
		}
	}
	return &explanation{Situation: situationInProgress, Why: fmt.Sprintf("%s %s, and %s.", f.r.ref(), f.inPhase(), f.entriesAre()),
		Command: f.verb("entries " + f.r.named())}
}

func (f *facts) inPhase() string {
	if f.r.phase == "" {
		return "has no phase"
	}
	return "is in the phase " + cell(f.r.phase)
}

func (f *facts) entriesAre() string {
	switch {
	case f.r.outbox.IsZero():
		return "its record has no entry yet"
	case f.undrained():
		return counted(len(f.pending), "entry") + are(len(f.pending), " is", " are") + " in its outbox"
	}
	return "all its entries are durable"
}

// deletion begins a sentence about a resource that is being deleted.
func (f *facts) deletion() string {
	return fmt.Sprintf("%s has been in deletion for %s", f.r.ref(), age(f.r.DeletionTimestamp.Time, f.now))
}

func (f *facts) inSystem() string { return f.kubectl() + " -n " + quoted(f.system) }

func (f *facts) managerLogs() string {
	return f.inSystem() + " logs -l app.kubernetes.io/component=manager --tail=50"
}

// unsupportedEntries: written by a newer release than the managers, or than this program.
func unsupportedEntries(f *facts) *explanation {
	if !f.unsupported() {
		return nil
	}
	return &explanation{Situation: situationSchemaUnknown, Attention: true,
		Why:     fmt.Sprintf("%s has entries of a newer release, which stay in the resource until the managers are upgraded.", f.r.ref()),
		Command: f.inSystem() + " get pods -l app.kubernetes.io/component=manager -o custom-columns='NAME:.metadata.name,IMAGE:.spec.containers[0].image'"}
}

// unattended: no manager looks after it, and something is to be done.
func unattended(f *facts) *explanation {
	if f.attended || f.r.closed() && !f.undrained() && !f.r.held() {
		return nil
	}
	work := "works on it"
	switch n := len(f.pending); {
	case n == 1:
		work = "drains its entry"
	case n > 1:
		work = fmt.Sprintf("drains its %d entries", n)
	}
	e := &explanation{Situation: situationNoManager, Attention: true, Command: f.inSystem() + " get pods,leases"}
	start := f.r.ref() + " waits"
	if f.r.terminating() {
		start = f.deletion()
	}
	if f.shard != "" {
		e.Situation = situationShardWithoutManager
		e.Why = fmt.Sprintf("%s: it is in the shard %s, and no manager of this shard %s.", start, f.shard, work)
		return e
	}
	e.Why = fmt.Sprintf("%s: no active manager %s.", start, work)
	return e
}

// storeAway: entries wait, and the relay says that the store takes none.
func storeAway(f *facts) *explanation {
	if !f.undrained() || f.store.Breaker != breakerOpen {
		return nil
	}
	start := f.r.ref()
	if f.r.terminating() {
		start = f.deletion()
	}
	return &explanation{Situation: situationStoreUnavailable, Attention: true,
		Why: fmt.Sprintf("%s: %s, because the store has accepted none for %s (%s).", start, waits(len(f.pending)), age(*f.store.Since, f.now),
			outbox.Bound(strings.TrimPrefix(f.store.Reason, "The audit store accepts no entries; they stay in their resources: "), 300)),
		Command: f.managerLogs()}
}

func waits(n int) string { return counted(n, "entry") + are(n, " waits", " wait") }

// openRecord: the controller has not ended the record, so the finalizer stays.
func openRecord(f *facts) *explanation {
	if !f.r.held() || f.r.closed() {
		return nil
	}
	e := &explanation{Situation: situationOpenRecord, Why: f.deletion() + ": its controller has not ended its record, and the finalizer stays until it has."}
	var open []string
	for _, child := range f.children {
		if !child.closed() && ownedBy(child, f.r) {
			open = append(open, child.ref())
		}
	}
	switch {
	case len(open) > 0:
		e.Why = fmt.Sprintf("%s: its record stays open until %s %s ended.", f.deletion(), strings.Join(open, " and "), are(len(open), "has", "have"))
		e.Command = f.treeCommand()
	case f.ours:
		e.Command = f.managerLogs()
	default:
		e.Attention = true
		e.Command = f.verb("entries " + f.r.named())
	}
	return e
}

// draining: the record has ended, and the relay is at it.
func draining(f *facts) *explanation {
	if !f.undrained() || !f.r.closed() && !f.r.held() {
		return nil
	}
	if f.r.terminating() {
		return &explanation{Situation: situationDraining, Why: fmt.Sprintf("%s: %s to be drained, and then the finalizer goes.", f.deletion(), waits(len(f.pending))),
			Command: f.verb("wait " + f.r.named() + " --for=drained")}
	}
	return &explanation{Situation: situationDraining, Why: fmt.Sprintf("%s has ended, and %s to be drained.", f.r.ref(), waits(len(f.pending))), Command: f.verb("wait " + f.r.named() + " --for=drained")}
}

// undrainedClosed is storeAway and unattended for a record that has ended.
func undrainedClosed(f *facts) *explanation {
	if !f.r.closed() || !f.undrained() {
		return nil
	}
	if e := unattended(f); e != nil {
		return e
	}
	return storeAway(f)
}

// foreignFinalizer: the outbox's is gone, another stays.
func foreignFinalizer(f *facts) *explanation {
	at := slices.IndexFunc(f.r.Finalizers, func(name string) bool { return name != outbox.Finalizer && name != metav1.FinalizerDeleteDependents })
	if at < 0 || f.r.held() {
		return nil
	}
	name := f.r.Finalizers[at]
	patch := fmt.Sprintf(`[{"op":"test","path":"/metadata/finalizers/%d","value":%q},{"op":"remove","path":"/metadata/finalizers/%d"}]`, at, name, at)
	return &explanation{Situation: situationForeignFinalizer, Attention: true,
		Why:     fmt.Sprintf("%s: Holdfast has released it, and the finalizer %s of another controller keeps it; remove it only if that controller is gone.", f.deletion(), name),
		Command: f.kubectl() + " patch " + f.r.named() + " --type=json -p " + quoted(patch)}
}

// dependents: deletion in the foreground waits for what it owns.
func dependents(f *facts) *explanation {
	if !slices.Contains(f.r.Finalizers, metav1.FinalizerDeleteDependents) || f.r.held() {
		return nil
	}
	if len(f.dependents) == 0 {
		return &explanation{Situation: situationWaitsForDependents, Why: f.deletion() + ": Holdfast has released it, and the garbage collector removes what it owns first (deletion in the foreground).",
			Command: f.kubectl() + " get events -n " + quoted(f.r.Namespace)}
	}
	first := f.dependents[0]
	return &explanation{Situation: situationWaitsForDependents, Attention: true,
		Why:     fmt.Sprintf("%s: Holdfast has released it, and the owner reference of %s keeps it, since a deletion in the foreground waits for what it owns.", f.deletion(), first.ref()),
		Command: f.verb("explain " + first.named())}
}

// tooLarge and outboxFull: the controller holds a change back.
func tooLarge(f *facts) *explanation {
	c := f.r.condition(outbox.ConditionBlocked)
	if c == nil || c.Reason != "ResourceTooLarge" {
		return nil
	}
	return &explanation{Situation: situationResourceTooLarge, Attention: true, Why: fmt.Sprintf("%s is too large to be audited: shorten its annotations, labels or spec.", f.r.ref()),
		Command: f.kubectl() + " annotate " + f.r.named() + " --list"}
}

func outboxFull(f *facts) *explanation {
	c := f.r.condition(outbox.ConditionBlocked)
	if c == nil {
		return nil
	}
	why := "it goes on when the managers have drained some"
	e := &explanation{Situation: situationOutboxFull, Attention: true, Command: f.verb("status -A")}
	switch {
	case !f.attended:
		why = "no active manager drains them"
	case f.store.Breaker == breakerOpen:
		why = "the store accepts no entries"
	}
	e.Why = fmt.Sprintf("The outbox of %s is full (%s), so its controller holds back every change: %s.", f.r.ref(), counted(len(f.pending), "entry"), why)
	return e
}

// restoredEtcd and deadLetter: an entry could not become a row.
func restoredEtcd(f *facts) *explanation {
	if !strings.Contains(f.letter, postgres.PlaceTaken) {
		return nil
	}
	return &explanation{Situation: situationSecondHistory, Attention: true,
		Why:     fmt.Sprintf("An entry of %s is a dead letter: the store has another entry in its place, as after a restore of etcd.", f.r.ref()),
		Command: letterCommand(f.letter)}
}

func deadLetter(f *facts) *explanation {
	if f.letter == "" {
		return nil
	}
	return &explanation{Situation: situationDeadLetter, Attention: true, Why: fmt.Sprintf("An entry of %s is a dead letter, because the store refused it; its other entries go on.", f.r.ref()),
		Command: letterCommand(f.letter)}
}

// letterCommand is how the dead letter of an Event is looked at.
func letterCommand(note string) string {
	_, after, _ := strings.Cut(note, "holdfast dead-letter show ")
	id, _, _ := strings.Cut(after, "`")
	if id, err := models.UUID(id); err == nil { // whoever may create Events wrote it
		return "holdfast dead-letter show " + id
	}
	return "holdfast dead-letter list"
}
