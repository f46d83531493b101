package plugin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// archive is where stored entries are read: the database, or the report service.
type archive struct {
	database
	reports
}

func (a *archive) addFlags(cmd *cobra.Command) {
	a.database.addFlags(cmd)
	a.reports.addFlags(cmd)
}

// store reads stored entries.
type store interface {
	// unread says why nothing of the store could be read, nil where it could.
	unread() error
	// read reads the uids that a name has had, newest first, and the entries of the one that is chosen, in order.
	read(ctx context.Context, namespace, name string, choose func([]postgres.Resource) (uid string, err error)) ([]pastEntry, error)
	close()
}

// open opens the store that flags or variables name, else the report service of the cluster, for a namespace that only the service needs. Without that the store is nowhere, for a reason.
func (a *archive) open(ctx context.Context, c *cluster, namespaceOf func() (string, error)) (store, error) {
	if a.database.url != "" && a.reports.url != "" {
		return nil, errors.New("--database-url and --reports-url are both set, expected one")
	}
	byFlag := a.reports.named()
	a.fromEnvironment()
	if a.database.url != "" || !byFlag && a.address() != "" {
		s, err := a.database.open(ctx)
		if err != nil {
			return nil, err
		}
		return &rows{s}, nil
	}
	namespace, err := namespaceOf()
	if err != nil {
		return nil, err
	}
	link, err := a.link(ctx, c, namespace)
	if err != nil {
		if a.reports.named() || ctx.Err() != nil {
			return nil, err
		}
		return nowhere{explained(err)}, nil
	}
	return &service{client: link.Client, done: link.close}, nil
}

// nowhere is the store that could not be found.
type nowhere struct{ why error }

func (n nowhere) unread() error { return n.why }
func (nowhere) close()          {}
func (nowhere) read(_ context.Context, _, _ string, choose func([]postgres.Resource) (string, error)) ([]pastEntry, error) {
	_, err := choose(nil)
	return []pastEntry{}, err
}

// Entries are read rowsAtOnce, or from the service entriesAtOnce. Of rows checkedAtOnce are checked together.
const (
	rowsAtOnce    = 1000
	entriesAtOnce = 250
	checkedAtOnce = 50
)

type rows struct{ store *postgres.Store }

func (r *rows) unread() error { return nil }
func (r *rows) close()        { r.store.Close() }

var everything = postgres.Readable{Everything: true}

func (r *rows) read(ctx context.Context, namespace, name string, choose func([]postgres.Resource) (string, error)) ([]pastEntry, error) {
	var all []pastEntry
	err := r.store.Snapshot(ctx, everything, func(ctx context.Context, q *postgres.Snapshot) error {
		known, err := q.Resources(ctx, "", namespace, name)
		if err != nil {
			return err
		}
		uid, err := choose(known)
		if err != nil {
			return err
		}
		all, err = entriesOfUID(ctx, q, uid)
		return err
	})
	return withoutRedriven(all), err
}

// entriesOfUID reads and checks entries, the ones while the others come.
func entriesOfUID(ctx context.Context, q *postgres.Snapshot, uid string) ([]pastEntry, error) {
	var checked [][]pastEntry
	var checking errgroup.Group
	check := func(some []postgres.Entry) {
		done := make([]pastEntry, len(some))
		checked = append(checked, done)
		checking.Go(func() error {
			for i := range some {
				done[i] = storedEntry(&some[i])
			}
			return nil
		})
	}
	var after *postgres.EntryPlace
	for n := rowsAtOnce + 1; n > rowsAtOnce; {
		var some []postgres.Entry
		var last postgres.EntryPlace
		n = 0
		err := q.EachEntry(ctx, uid, after, rowsAtOnce+1, func(e *postgres.Entry) { // one more says that there is another page
			if n++; n > rowsAtOnce {
				return
			}
			if last, some = e.Place(), append(some, *e); len(some) == checkedAtOnce {
				check(some)
				some = nil
			}
		})
		if err != nil {
			_ = checking.Wait() // none fails
			return nil, err
		}
		check(some)
		after = &last
	}
	_ = checking.Wait() // none fails
	return slices.Concat(checked...), nil
}

// withoutRedriven leaves dead letters out that are rows by now: each entry once.
func withoutRedriven(all []pastEntry) []pastEntry {
	durable := map[string]bool{}
	for i := range all {
		if all[i].State == entryDurable {
			durable[all[i].Hash] = true
		}
	}
	kept := []pastEntry{}
	for _, e := range all {
		if e.State == entryDurable || !durable[e.Hash] {
			kept = append(kept, e)
		}
	}
	return kept
}

type service struct {
	client *reportsclient.Client
	done   func()
	hidden error
}

func (s *service) unread() error { return s.hidden }
func (s *service) close()        { s.done() }

// errHidden: the administrator of a namespace decides what its account may read, and the service does not tell rows that are hidden from rows that are gone.
var errHidden = errors.New("the report service shows none of its entries: whoever the token is of may not read reports of the namespace (docs/kubectl.md#rights), or the rows are gone; --database-url tells which")

func (s *service) resources(ctx context.Context, namespace, name string) ([]postgres.Resource, error) {
	q := url.Values{"name": {name}}
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	page, err := s.client.Resources(ctx, q)
	if err != nil {
		return nil, err
	}
	return decodeAll[postgres.Resource](page)
}

func decodeAll[T any](page *reportsclient.Page) ([]T, error) {
	all := make([]T, len(page.Items))
	for i, item := range page.Items {
		if err := json.Unmarshal(item, &all[i]); err != nil {
			return nil, errors.New("the report service's answer is not as this program expects; use the plugin of its release")
		}
	}
	return all, nil
}

func (s *service) read(ctx context.Context, namespace, name string, choose func([]postgres.Resource) (string, error)) ([]pastEntry, error) {
	known, err := s.resources(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	uid, err := choose(known)
	if err != nil {
		return nil, err
	}
	return s.entries(ctx, uid)
}

func (s *service) entries(ctx context.Context, uid string) ([]pastEntry, error) {
	all := []pastEntry{}
	q := url.Values{"limit": {strconv.Itoa(entriesAtOnce)}}
	for {
		page, err := s.client.Entries(ctx, uid, q)
		var answered *reportsclient.Error
		if errors.As(err, &answered) && answered.Status == http.StatusNotFound {
			s.hidden = errHidden
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		some, err := decodeAll[remoteEntry](page)
		if err != nil {
			return nil, err
		}
		for i := range some {
			all = append(all, storedEntry(some[i].entry()))
		}
		if page.Next == nil {
			return withoutRedriven(all), nil
		}
		q.Set("next", *page.Next)
	}
}

// remoteEntry is an entry as the service writes it: the hash in hex.
type remoteEntry struct {
	postgres.Entry
	EntryHash string `json:"entry_hash"`
}

func (r *remoteEntry) entry() *postgres.Entry {
	e := r.Entry
	e.EntryHash, _ = hex.DecodeString(r.EntryHash) // one that is no hash agrees with no text
	return &e
}

// uidOf is the uid of the request that arguments name: the live one, or the newest that the store knows.
func (c *cluster) uidOf(ctx context.Context, client *reportsclient.Client, namespace, name string) (string, error) {
	if uid, err := models.UUID(name); err == nil {
		return uid, nil
	}
	k, err := c.kindOf(requests + "." + ownGroup)
	if err != nil {
		return "", err
	}
	if live, err := c.read(ctx, k, namespace, name); err == nil {
		return string(live.UID), nil
	}
	known, err := (&service{client: client}).resources(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	for _, r := range known {
		if entriesOf(k, r.Kind) {
			return r.UID, nil
		}
	}
	return "", c.absent(ctx, k, namespace, name)
}
