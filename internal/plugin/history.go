package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/holdfast-dev/holdfast/internal/command"
	"github.com/holdfast-dev/holdfast/models"
	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/postgres"
)

// told is the result of history.
type told struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Live: the resource exists.
	Live    bool          `json:"live"`
	Entries []pastEntry   `json:"entries"`
	Verdict verdict       `json:"verdict"`
	Others  []incarnation `json:"others,omitempty"`
	Unread  []unread      `json:"unread,omitempty"`

	ref    string
	record bool
}

// pastEntry is an entry, wherever it is: each once.
type pastEntry struct {
	pendingEntry
	// State is pending, durable or dead-letter.
	State string `json:"state"`
	// Changed are the members of the record that the entry before had otherwise; with --diff.
	Changed map[string]any `json:"changed,omitempty"`

	previous string
}

// verdict says whether the entries are one chain.
type verdict struct {
	Whole bool `json:"whole"`
	// Entries is how many were looked at, whatever --since shows.
	Entries  int      `json:"entries"`
	Problems []string `json:"problems,omitempty"`
}

// incarnation is another uid that the name has had.
type incarnation struct {
	UID   string    `json:"uid"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Final bool      `json:"final"`
}

const (
	entryPending = "pending"
	entryDurable = "durable"
	entryDead    = "dead-letter"
)

var entryMarks = map[string]string{entryPending: "●", entryDurable: "✔", entryDead: "☠"}

func (h *told) text(p *page) {
	live := "gone"
	if h.Live {
		live = "live"
	}
	p.line("%s, uid %s, %s", h.ref, h.UID, live)
	rows := make([][]string, len(h.Entries))
	for i := range h.Entries {
		e := &h.Entries[i]
		recorded := ""
		if e.RecordedTime != nil {
			recorded = e.RecordedTime.String()
		}
		rows[i] = []string{entryMarks[e.State] + " " + e.State, strconv.FormatInt(e.Sequence, 10), e.Event, e.Phase, recorded}
	}
	if len(rows) > 0 {
		p.table([]string{"STATE", "SEQ", "EVENT", "PHASE", "RECORDED"}, rows)
	}
	for i := range h.Entries {
		e := &h.Entries[i]
		if h.record {
			p.line("%d record %s", e.Sequence, e.Record)
		}
		for _, name := range sortedKeys(e.Changed) {
			text, _ := json.Marshal(e.Changed[name]) //nolint:errchkjson // it came from JSON
			p.line("%d %s: %s", e.Sequence, name, text)
		}
	}
	switch {
	case h.Verdict.Whole && len(h.Unread) > 0:
		p.line("The entries in the resource are one chain. What is stored was not read.")
	case h.Verdict.Whole && len(h.Entries) < h.Verdict.Entries:
		p.line("The chain is whole: %s, of which %d%s shown.", counted(h.Verdict.Entries, "entry"), len(h.Entries), are(len(h.Entries), " is", " are"))
	case h.Verdict.Whole:
		p.line("The chain is whole: %s.", counted(h.Verdict.Entries, "entry"))
	}
	for _, problem := range h.Verdict.Problems {
		p.line("The chain is not whole: %s", problem)
	}
	for _, u := range h.Unread {
		p.line("Could not read %s: %s", u.What, u.Reason)
	}
	for _, o := range h.Others {
		p.line("The name had another uid: %s, %s to %s", o.UID, o.First.UTC().Format(time.RFC3339), o.Last.UTC().Format(time.RFC3339))
	}
}

func sortedKeys(of map[string]any) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func newHistoryCommand(c *cluster) *cobra.Command {
	var (
		out          output
		from         archive
		uid          string
		since        command.Span
		record, diff bool
	)
	cmd := &cobra.Command{
		Use:   "history KIND/NAME",
		Short: "Show all entries of a resource: those in it and those that are stored, also of one that is gone",
		Long: `Show all entries of a resource, each once: ● pending in its outbox, ✔ durable in the store, ☠ a dead letter.
A resource that is gone has a history too. A name can be used again: without --uid the command shows the
newest resource of the name, and lists the others. The last line says whether the hashes make one chain
without a gap.

The store is read in the database (--database-url), else through the report service: the one of the
cluster, by a port-forward, or --reports-url. Without a store only the entries in the resource are shown.

Exit status: 0 the chain is whole, 1 it is not, or an entry is a dead letter, 2 it could not be read.`,
		Example: `  kubectl holdfast history rr/cart-crash -n shop
  kubectl holdfast history rr/cart-crash -n shop --database-url "$HOLDFAST_DATABASE_URL"
  kubectl holdfast history rr/cart-crash -n shop --since 1h --diff
  kubectl holdfast history rr/cart-crash -n shop --uid 4f8e0a52-6a3e-4be0-9f0e-3c1d8a4b2c11 -o json`,
		Args:              oneResource("KIND/NAME, as in rr/cart-crash"),
		ValidArgsFunction: c.completeResources,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			h, err := c.history(cmd.Context(), args, uid, &from)
			if err != nil {
				return err
			}
			dead := slices.ContainsFunc(h.Entries, func(e pastEntry) bool { return e.State == entryDead })
			if diff {
				h.compare()
			}
			if h.record = record; since > 0 {
				after := time.Now().Add(-time.Duration(since))
				h.Entries = slices.DeleteFunc(h.Entries, func(e pastEntry) bool { return e.RecordedTime != nil && e.RecordedTime.Before(after) })
			}
			status := found(dead || !h.Verdict.Whole)
			if status == nil && len(h.Unread) > 0 {
				status = &command.ExitError{Code: exitUnknown}
			}
			return errors.Join(out.print(c.streams.Out, h), status)
		},
	}
	out.addFlags(cmd)
	from.addFlags(cmd)
	cmd.Flags().StringVar(&uid, "uid", "", "uid of the resource, where several had the name")
	cmd.Flags().Var(&since, "since", "only entries that were recorded since, as in 1h or 30d")
	cmd.Flags().BoolVar(&record, "record", false, "show the records")
	cmd.Flags().BoolVar(&diff, "diff", false, "show what changed in the record from entry to entry")
	return cmd
}

// history merges what is live and what is stored.
func (c *cluster) history(ctx context.Context, args []string, uid string, from *archive) (*told, error) {
	if uid != "" {
		given := uid
		var err error
		if uid, err = models.UUID(given); err != nil {
			return nil, fmt.Errorf("--uid is %q, %w", given, err)
		}
	}
	var (
		k               kind
		namespace, name string
		stored          store
		opening         errgroup.Group
	)
	find := sync.OnceValue(func() (err error) {
		k, namespace, name, err = c.named(args)
		return err
	})
	// The store is opened while the resource is looked for and read.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opening.Go(func() (err error) {
		stored, err = from.open(ctx, c, func() (string, error) {
			err := find()
			return namespace, err
		})
		return err
	})
	if err := find(); err != nil {
		cancel()
		if opening.Wait() == nil {
			stored.close()
		}
		return nil, err
	}
	// What is live is read before what is stored: an entry that leaves the resource meanwhile is in the store by then.
	live, err := c.read(ctx, k, namespace, name)
	if failed := opening.Wait(); failed != nil {
		return nil, failed
	}
	defer stored.close()
	if err != nil && !apierrors.IsNotFound(err) {
		return nil, err
	}
	h := &told{Kind: k.Kind, Namespace: namespace, Name: name, ref: k.String() + "/" + name}
	h.Entries, err = stored.read(ctx, namespace, name, func(known []postgres.Resource) (string, error) { return h.choose(k, known, uid, live) })
	switch unread := stored.unread(); {
	case errors.Is(err, errNoUID) && unread != nil:
		return nil, fmt.Errorf("%w; it may be gone, and what is stored could not be read: %w", c.absent(ctx, k, namespace, name), unread)
	case errors.Is(err, errNoUID):
		return nil, c.absent(ctx, k, namespace, name)
	case err != nil:
		return nil, err
	}
	if live != nil && string(live.UID) == h.UID {
		h.Live = true
		h.merge(live)
	}
	if len(h.Entries) == 0 && !h.Live {
		return nil, fmt.Errorf("%s has no entry under the uid %s that you may read; without --uid the newest is shown", h.ref, h.UID)
	}
	h.note(stored.unread(), live)
	h.judge(live, len(h.Unread) == 0)
	return h, nil
}

var errNoUID = errors.New("nothing has the name, or had it")

// choose decides on a uid of those that the name has had, newest first: the one that was asked for, the live one, or the newest.
func (h *told) choose(k kind, known []postgres.Resource, asked string, live *resource) (string, error) {
	known = slices.DeleteFunc(known, func(r postgres.Resource) bool { return !entriesOf(k, r.Kind) })
	switch {
	case asked != "":
		h.UID = asked
	case live != nil:
		h.UID = string(live.UID)
	case len(known) > 0:
		h.UID = known[0].UID
	default:
		return "", errNoUID
	}
	h.Others = nil
	for _, r := range known {
		if r.UID != h.UID {
			h.Others = append(h.Others, incarnation{r.UID, r.First, r.Last, r.Final})
		}
	}
	return h.UID, nil
}

// note keeps why the store could not be read. That it shows no entry is expected of a live resource that has had none there.
func (h *told) note(err error, live *resource) {
	expected := h.Live && (live.outbox == nil || live.outbox.PersistedSequence == 0)
	if hidden := errors.Is(err, errHidden); err != nil && (!hidden || !expected) {
		h.Unread = append(h.Unread, unread{"the store", err.Error()})
	}
}

// entryKinds are the kinds of the entries of Holdfast's own resources.
var entryKinds = map[string]string{requests: entry.KindOrchestration, analyses: entry.KindAIDecision, workflows: entry.KindExecution, notifications: entry.KindNotification}

// entriesOf reports whether a resource type may have entries of a kind. Another operator chooses its kind, which ends with its group.
func entriesOf(k kind, entryKind string) bool {
	if name := entryKinds[k.Resource]; k.Group == ownGroup && name != "" {
		return entryKind == name
	}
	return strings.HasSuffix(entryKind, k.Group)
}

// merge adds the entries that the store does not have.
func (h *told) merge(live *resource) {
	have := map[string]bool{}
	for i := range h.Entries {
		have[h.Entries[i].Hash] = true
	}
	pending := entry.PendingOf(live.UID, live.outbox)
	for i := range pending.Len() {
		if e := decodeEntry(live, pending, i); !have[e.Hash] {
			past := pastEntry{pendingEntry: e, State: entryPending}
			if decoded, err := entry.Decode([]byte(pending.Text(i))); err == nil {
				past.previous = decoded.PreviousHash
			}
			h.Entries = append(h.Entries, past)
		}
	}
	slices.SortStableFunc(h.Entries, func(a, b pastEntry) int { return int(a.Sequence - b.Sequence) })
}

// judge looks at the chain from its first entry to the live head. Without a store its beginning is not there.
func (h *told) judge(live *resource, stored bool) {
	problem := func(format string, args ...any) {
		h.Verdict.Problems = append(h.Verdict.Problems, fmt.Sprintf(format, args...))
	}
	if n := len(h.Entries); stored && n > 0 && h.Entries[0].Sequence != 1 {
		problem("the entries before %d are missing", h.Entries[0].Sequence)
	}
	for i := range h.Entries {
		e := &h.Entries[i]
		if e.Problem != "" {
			problem("entry %d: %s", e.Sequence, e.Problem)
			continue
		}
		if i == 0 {
			continue
		}
		switch before := &h.Entries[i-1]; {
		case e.Sequence == before.Sequence:
			problem("there are two entries %d", e.Sequence)
		case e.Sequence != before.Sequence+1:
			problem("entries %d to %d are missing", before.Sequence+1, e.Sequence-1)
		case e.previous != before.Hash:
			problem("entry %d does not follow entry %d: it names another hash", e.Sequence, before.Sequence)
		}
	}
	switch n := len(h.Entries); {
	case !h.Live:
	case live.outbox == nil: // another operator's status is its own
		if n > 0 {
			problem("the live resource has no status.outbox, and had one")
		}
	case n > 0 && h.Entries[n-1].Sequence == live.outbox.LastSequence && h.Entries[n-1].Hash != live.outbox.HeadHash:
		problem("the newest entry is not the head of the live resource")
	case stored && live.outbox.LastSequence > 0 && (n == 0 || h.Entries[n-1].Sequence < live.outbox.LastSequence):
		problem("the resource has had %d entries, and the last ones are missing", live.outbox.LastSequence)
	}
	h.Verdict.Whole, h.Verdict.Entries = len(h.Verdict.Problems) == 0, len(h.Entries)
}

// compare notes what each entry's record has otherwise than the one before.
func (h *told) compare() {
	var before map[string]any
	for i := range h.Entries {
		var now map[string]any
		if err := json.Unmarshal(h.Entries[i].Record, &now); err != nil {
			continue
		}
		if before != nil {
			changed := map[string]any{}
			for name, value := range now {
				if !reflect.DeepEqual(value, before[name]) {
					changed[name] = value
				}
			}
			for name := range before {
				if _, ok := now[name]; !ok {
					changed[name] = nil
				}
			}
			h.Entries[i].Changed = changed
		}
		before = now
	}
}

// storedEntry is an entry as the store has it. Its text decides, not its columns.
func storedEntry(e *postgres.Entry) pastEntry {
	past := pastEntry{State: entryDurable, pendingEntry: pendingEntry{Sequence: e.Sequence, ID: e.ID, Event: e.Event, Phase: e.Phase, Final: e.Final, Hash: fmt.Sprintf("%x", []byte(e.EntryHash))}}
	if e.Table == models.TableDeadLetter {
		past.State = entryDead
	}
	recorded := outboxapi.NewTime(e.RecordedAt)
	past.RecordedTime = &recorded
	decoded, err := entry.Decode([]byte(e.Entry))
	switch {
	case err != nil && past.State == entryDurable:
		past.Problem = err.Error()
	case entry.Hash([]byte(e.Entry)) != past.Hash && past.State == entryDurable:
		past.Problem = "the stored text does not have the hash that is stored beside it"
	case decoded.Sequence != e.Sequence && past.State == entryDurable:
		past.Problem = fmt.Sprintf("the stored text is that of entry %d", decoded.Sequence)
	}
	past.Kind, past.SchemaVersion, past.previous = decoded.Kind, decoded.SchemaVersion, decoded.PreviousHash
	if json.Valid(decoded.Record) {
		past.Record = decoded.Record
	}
	return past
}
