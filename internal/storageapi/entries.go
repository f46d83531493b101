package storageapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/outbox"
	"github.com/holdfast-dev/holdfast/relay"
	"github.com/holdfast-dev/holdfast/storageclient"
)

// relayed answers a relay: its batch is persisted as the store does it for a relay of its own, and each entry's outcome is told. A relay sends one batch at a time and
// has a backoff of its own, so the callers' rate is not for it; the gates are.
func (s *Server) relayed(x *exchange, r *http.Request) {
	x.Header().Set("Cache-Control", "no-store")
	answer, refused := s.takeEntries(x, r)
	if refused != nil {
		refused.write(x)
		return
	}
	writeJSON(x, http.StatusOK, "application/json", answer)
}

func (s *Server) takeEntries(x *exchange, r *http.Request) (answer storageclient.Outcomes, refused *Problem) {
	call, refused := s.admit(x, r, mayRelay)
	if refused != nil {
		return answer, refused
	}
	defer call.done()
	b := &entryBatch{}
	if refused := s.decode(r, func() *Problem { return b.read(call.body, s.config.Limits.Entries) }); refused != nil {
		return answer, refused
	}
	x.records = len(b.items)
	var outcomes []relay.Outcome
	refused, err := s.write(r, func(ctx context.Context) (err error) {
		outcomes, answer.Database, err = s.config.Store.ForCluster(b.cluster).PersistIn(ctx, b.items)
		return err
	})
	if refused != nil {
		return answer, refused
	}
	if err != nil {
		return answer, s.away(err, len(b.items))
	}
	for i, o := range outcomes {
		word, _ := o.Result.MarshalText() // the store makes no others
		s.metrics.rows.WithLabelValues(models.NewRow(b.items[i].Entry.Kind).Table(), string(word)).Inc()
	}
	answer.Outcomes = b.inOrder(outcomes)
	return answer, nil
}

func mayRelay(c Caller) *Problem {
	if c.MayRelay {
		return nil
	}
	return problem(http.StatusForbidden, "%s may not send outbox entries; that requires the permission to relay auditrecords.holdfast.dev", c.Name)
}

// entryBatch is a body that was found to be good, sorted as the store wants it. places are the positions of its items in the body.
type entryBatch struct {
	cluster string
	items   []relay.Item
	places  []int
}

// read is strict about names: a field that this release does not know, and would lose, is no entry's fault but a relay's that is newer.
func (b *entryBatch) read(body []byte, most int) *Problem {
	var sent storageclient.Entries
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&sent); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) || errors.Is(err, io.ErrUnexpectedEOF) {
			return problem(http.StatusBadRequest, "the body is not JSON: %s", outbox.Bound(err.Error(), 500))
		}
		return problem(http.StatusUnprocessableEntity, "the body is invalid: %s; nothing was stored", outbox.Bound(err.Error(), 500))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return problem(http.StatusBadRequest, "the body is not JSON: data follows the object")
	}
	switch {
	case sent.Entries == nil:
		return problem(http.StatusUnprocessableEntity, "entries is missing, expected an array")
	case len(sent.Entries) > most:
		return problem(http.StatusRequestEntityTooLarge, "the body has %d entries, expected at most %d; send fewer entries per request", len(sent.Entries), most)
	case len(sent.Cluster) > maxCluster:
		return problem(http.StatusUnprocessableEntity, "cluster has %d bytes, expected at most %d; nothing was stored", len(sent.Cluster), maxCluster)
	}
	*b = entryBatch{cluster: sent.Cluster, items: make([]relay.Item, len(sent.Entries)), places: make([]int, len(sent.Entries))}
	all := make([]relay.Item, len(sent.Entries))
	for i := range sent.Entries {
		all[i], b.places[i] = sent.Entries[i].Item(), i
	}
	slices.SortStableFunc(b.places, func(i, j int) int { return relay.ByID(all[i], all[j]) })
	for i, place := range b.places {
		b.items[i] = all[place]
	}
	return nil
}

// maxCluster is the length of the column source_cluster.
const maxCluster = 255

func (b *entryBatch) inOrder(outcomes []relay.Outcome) []relay.Outcome {
	all := make([]relay.Outcome, len(outcomes))
	for i, place := range b.places {
		all[place] = outcomes[i]
	}
	return all
}
