package storageclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/types"

	outboxapi "github.com/holdfast-dev/holdfast/outbox/api"
	"github.com/holdfast-dev/holdfast/outbox/entry"
	"github.com/holdfast-dev/holdfast/relay"
)

// EntriesPath is the path to which relays send outbox entries of any kind. It requires the right to relay.
const EntriesPath = "api/v1/audit/entries"

// Entries is the body of such a request; the response is Outcomes. One transaction stores all entries; those that cannot be rows become dead letters in it.
type Entries struct {
	// Cluster is the source_cluster of the rows.
	Cluster string      `json:"cluster,omitempty"`
	Entries []SentEntry `json:"entries"`
}

// SentEntry is an entry exactly as in its resource. The service parses the text itself.
type SentEntry struct {
	Source Source `json:"source"`
	// Resource is the Kubernetes kind.
	Resource string `json:"resource"`
	// Sequence follows from the entry's position in the outbox, and Hash from the entry after it or the outbox's head.
	Sequence int64  `json:"sequence"`
	Hash     string `json:"hash"`
	// Entry is the text.
	Entry outboxapi.Entry `json:"entry"`
	// AskPrevious asks whether the previous entry is stored, see relay.Item.
	AskPrevious bool `json:"askPrevious,omitempty"`
}

// Source is the resource. Created is its creation time, which is part of the ids of its entries.
type Source struct {
	Namespace string         `json:"namespace,omitempty"`
	Name      string         `json:"name"`
	UID       types.UID      `json:"uid"`
	Created   outboxapi.Time `json:"created"`
}

// Outcomes are the results of the entries, in their order. Database identifies the database, see relay.Identified.
type Outcomes struct {
	Outcomes []relay.Outcome `json:"outcomes"`
	Database string          `json:"database,omitempty"`
}

// Item is the entry in the form that a store accepts.
func (e *SentEntry) Item() relay.Item {
	item := relay.Item{
		Source:       entry.Source{Namespace: e.Source.Namespace, Name: e.Source.Name, UID: e.Source.UID, Created: e.Source.Created.Time},
		ResourceKind: e.Resource, Sequence: e.Sequence, Hash: e.Hash, Text: []byte(e.Entry), AskPrevious: e.AskPrevious,
	}
	item.Check()
	return item
}

// Store is the service as the store of a relay.
type Store struct {
	client  *Client
	cluster string
}

var (
	_ relay.Store      = (*Store)(nil)
	_ relay.Identified = (*Store)(nil)
)

// Store returns a store for a relay. cluster is the name of the Kubernetes cluster in rows (source_cluster); empty is NULL.
func (c *Client) Store(cluster string) *Store { return &Store{client: c, cluster: cluster} }

// Calls are of at most so many entries and bytes: half of what the service takes by default.
const (
	callEntries = 500
	callBytes   = 2 << 20
)

// Persist implements relay.Store. A batch of several requests is several transactions. After an error some may be committed; sending the batch again finds them.
func (s *Store) Persist(ctx context.Context, batch []relay.Item) ([]relay.Outcome, error) {
	if len(batch) == 0 {
		return []relay.Outcome{}, nil
	}
	outcomes, _, err := s.PersistIn(ctx, batch)
	return outcomes, err
}

// PersistIn implements relay.Identified. The database is "" if the service is too old to report it.
func (s *Store) PersistIn(ctx context.Context, batch []relay.Item) ([]relay.Outcome, string, error) {
	if len(batch) == 0 {
		answer, err := s.call(ctx, nil)
		return []relay.Outcome{}, answer.Database, explain(err)
	}
	all := Outcomes{Outcomes: make([]relay.Outcome, 0, len(batch))}
	for len(batch) > 0 {
		n, bytes := 0, 0
		for n < len(batch) && n < callEntries && (n == 0 || bytes+len(batch[n].Text) <= callBytes) {
			bytes += len(batch[n].Text)
			n++
		}
		done, err := s.send(ctx, batch[:n])
		if err != nil {
			return nil, "", fmt.Errorf("send %d entries: %w", n, explain(err))
		}
		if all, err = all.and(done); err != nil {
			return nil, "", fmt.Errorf("send %d entries: %w", n, err)
		}
		batch = batch[n:]
	}
	return all.Outcomes, all.Database, nil
}

// and adds the answer to the next call of a batch. What a database that was replaced since acknowledged does not count.
func (o Outcomes) and(next Outcomes) (Outcomes, error) {
	if len(o.Outcomes) > 0 && o.Database != next.Database {
		return Outcomes{}, errors.New("the database of the storage service changed during the batch")
	}
	return Outcomes{Outcomes: append(o.Outcomes, next.Outcomes...), Database: next.Database}, nil
}

// Check reports whether the service accepts our entries. It sends a request without entries.
func (s *Store) Check(ctx context.Context) error {
	_, err := s.call(ctx, nil)
	return explain(err)
}

// send halves what is too large for the service, or for the time in which it must arrive there.
func (s *Store) send(ctx context.Context, batch []relay.Item) (Outcomes, error) {
	answer, err := s.call(ctx, batch)
	var refused *Error
	if len(batch) < 2 || !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge && refused.Status != http.StatusRequestTimeout {
		return answer, err
	}
	half := len(batch) / 2
	first, err := s.send(ctx, batch[:half])
	if err != nil {
		return Outcomes{}, err
	}
	second, err := s.send(ctx, batch[half:])
	if err != nil {
		return Outcomes{}, err
	}
	return first.and(second)
}

func (s *Store) call(ctx context.Context, batch []relay.Item) (Outcomes, error) {
	request := Entries{Cluster: s.cluster, Entries: make([]SentEntry, len(batch))}
	for i := range batch {
		item := &batch[i]
		request.Entries[i] = SentEntry{
			Source:   Source{Namespace: item.Source.Namespace, Name: item.Source.Name, UID: item.Source.UID, Created: outboxapi.NewTime(item.Source.Created)},
			Resource: item.ResourceKind, Sequence: item.Sequence, Hash: item.Hash, Entry: outboxapi.Entry(item.Text), AskPrevious: item.AskPrevious,
		}
	}
	body, err := json.Marshal(request)
	if err != nil {
		return Outcomes{}, fmt.Errorf("encode the entries: %w", err)
	}
	var answer struct {
		Outcomes []struct {
			relay.Outcome
			Result *relay.Result `json:"result"` // a pointer, so that one that is missing is an error: the zero value is Unknown, a result that a store may give
		} `json:"outcomes"`
		Database string `json:"database"`
	}
	if err := s.client.post(ctx, EntriesPath, body, &answer); err != nil {
		return Outcomes{}, err
	}
	if len(answer.Outcomes) != len(batch) {
		return Outcomes{}, fmt.Errorf("the storage service returned %d outcomes for %d entries", len(answer.Outcomes), len(batch))
	}
	outcomes := make([]relay.Outcome, len(batch))
	for i, o := range answer.Outcomes {
		if o.Result == nil {
			return Outcomes{}, fmt.Errorf("the storage service returned no outcome for entry %s", batch[i].ID)
		}
		outcomes[i] = o.Outcome
		outcomes[i].Result = *o.Result
	}
	return Outcomes{Outcomes: outcomes, Database: answer.Database}, nil
}

// explain says which refusals need a person, and what that person can do. The service judges entries one by one, so none of these is an entry's fault: nothing is
// dead-lettered for them.
func explain(err error) error {
	var refused *Error
	if !errors.As(err, &refused) || refused.Status >= 500 || refused.Status == http.StatusRequestTimeout || refused.Status == http.StatusTooManyRequests {
		return err
	}
	advice := "service and manager do not match; run the same release of both"
	switch refused.Status {
	case http.StatusUnauthorized:
		advice = "set --store-token-file to a token for the audience of the service"
	case http.StatusForbidden:
		advice = "bind the ClusterRole holdfast-relay to the account of the token"
	case http.StatusRequestEntityTooLarge:
		advice = "raise --max-body-bytes of the service"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		advice = "check --store-url"
	}
	return fmt.Errorf("%w: %w; %s", relay.ErrSchema, err, advice)
}
