package plugin

import (
	"encoding/json"
	"strconv"

	"github.com/spf13/cobra"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// outboxOf is the result of entries.
type outboxOf struct {
	summary
	HeadHash string         `json:"headHash"`
	Entries  []pendingEntry `json:"entries"`
}

// pendingEntry is an entry that waits, decoded.
type pendingEntry struct {
	Sequence      int64           `json:"sequence"`
	ID            string          `json:"id"`
	Event         string          `json:"event"`
	Phase         string          `json:"phase,omitempty"`
	RecordedTime  *outboxapi.Time `json:"recordedTime,omitempty"`
	SchemaVersion int64           `json:"schemaVersion"`
	Final         bool            `json:"final"`
	Hash          string          `json:"hash"`
	// Problem says what is wrong with the text: it cannot be read, or its hash is not the one that the chain expects.
	Problem string          `json:"problem,omitempty"`
	Kind    string          `json:"kind,omitempty"`
	Record  json.RawMessage `json:"record,omitempty"`
}

func (o *outboxOf) text(p *page) {
	p.line("%s: %s, last sequence %d, persisted up to %d", o.ref, counted(o.Pending, "entry"), o.LastSequence, o.PersistedSequence)
	if len(o.Entries) == 0 {
		return
	}
	header := []string{"SEQ", "EVENT", "PHASE", "RECORDED", "FINAL", "PROBLEM"}
	if p.wide {
		header = append(header, "ID", "HASH")
	}
	rows := make([][]string, len(o.Entries))
	for i := range o.Entries {
		e := &o.Entries[i]
		recorded := ""
		if e.RecordedTime != nil {
			recorded = e.RecordedTime.String()
		}
		rows[i] = []string{strconv.FormatInt(e.Sequence, 10), e.Event, e.Phase, recorded, yes(e.Final), e.Problem}
		if p.wide {
			rows[i] = append(rows[i], e.ID, e.Hash)
		}
	}
	p.table(header, rows)
}

func newEntriesCommand(c *cluster) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "entries KIND/NAME",
		Short: "Show what waits in the outbox of a resource, decoded",
		Long: `Show the entries in the outbox of a resource, decoded. An entry is shown until it leaves the outbox, some seconds
after the store has it. -o json and -o yaml show the records too.

Exit status: 0 shown, 1 an entry is damaged, 2 the resource could not be read.`,
		Example: `  kubectl holdfast entries rr/cart-crash -n shop
  kubectl holdfast entries rr/cart-crash -n shop -o json | jq '.entries[-1].record'`,
		Args:              oneResource("KIND/NAME, as in rr/cart-crash"),
		ValidArgsFunction: c.completeResources,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			r, err := c.get(cmd.Context(), args)
			if err != nil {
				return err
			}
			o := decodeOutbox(r)
			if err := out.print(c.streams.Out, o); err != nil {
				return err
			}
			for i := range o.Entries {
				if o.Entries[i].Problem != "" {
					return found(true)
				}
			}
			return nil
		},
	}
	out.addFlags(cmd)
	return cmd
}

func decodeOutbox(r *resource) *outboxOf {
	o := &outboxOf{summary: summarize(r), Entries: []pendingEntry{}}
	if r.outbox != nil {
		o.HeadHash = r.outbox.HeadHash
	}
	pending := entry.PendingOf(r.UID, r.outbox)
	for i := range pending.Len() {
		o.Entries = append(o.Entries, decodeEntry(r, pending, i))
	}
	return o
}

// decodeEntry takes place, id and expected hash from the position. The rest is what the text says.
func decodeEntry(r *resource, pending entry.Pending, i int) pendingEntry {
	text := []byte(pending.Text(i))
	e := pendingEntry{Sequence: pending.Sequence(i), Hash: pending.Hash(i)}
	e.ID = entry.ID(r.UID, r.CreationTimestamp.Time, e.Sequence)
	decoded, err := entry.Decode(text)
	switch {
	case err != nil:
		e.Problem = err.Error()
	case entry.Hash(text) != e.Hash:
		e.Problem = "the text was changed: its hash is not the one that the next entry names"
	case decoded.SchemaVersion != entry.SchemaVersion:
		e.Problem = "schema version " + strconv.FormatInt(decoded.SchemaVersion, 10) + " is newer than this program"
	}
	e.Event, e.Phase, e.Kind, e.SchemaVersion, e.Final = decoded.Event, decoded.Phase, decoded.Kind, decoded.SchemaVersion, decoded.Final
	if !decoded.RecordedTime.IsZero() {
		e.RecordedTime = &decoded.RecordedTime
	}
	if json.Valid(decoded.Record) {
		e.Record = decoded.Record
	}
	return e
}
