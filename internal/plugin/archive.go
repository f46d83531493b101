package plugin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/reportsclient"
	"github.com/holdfast-dev/holdfast/models"
	"github.com/holdfast-dev/holdfast/postgres"
)

// reports is where the report service is, and who asks.
type reports struct {
	url, tokenFile, caFile string
}

func (r *reports) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.url, "reports-url", "", "URL of the report service (env HOLDFAST_REPORTS_URL)")
	cmd.Flags().StringVar(&r.tokenFile, "reports-token-file", "", "file with the token for --reports-url (env HOLDFAST_REPORTS_TOKEN_FILE; default: a token of the account holdfast-reader)")
	cmd.Flags().StringVar(&r.caFile, "reports-ca-file", "", "PEM CA bundle for --reports-url (env HOLDFAST_REPORTS_CA_FILE; default: system roots)")
}

// fromEnvironment fills what no flag gave.
func (r *reports) fromEnvironment() {
	for name, into := range map[string]*string{"HOLDFAST_REPORTS_URL": &r.url, "HOLDFAST_REPORTS_TOKEN_FILE": &r.tokenFile, "HOLDFAST_REPORTS_CA_FILE": &r.caFile} {
		if *into == "" {
			*into = strings.TrimSpace(os.Getenv(name))
		}
	}
}

const (
	// reader is the account whose token opens the report service: whoever may create its tokens reads what it may read.
	reader = "holdfast-reader"
	// reportsAudience is what the service's tokens are made for.
	reportsAudience = "holdfast-reports"
	// tokenSeconds is the shortest time that an API server takes.
	tokenSeconds = 600
)

// client makes a client of the report service, with a token for the rows of a namespace, or of all ("").
func (r *reports) client(ctx context.Context, c *cluster, namespace string) (*reportsclient.Client, error) {
	if r.fromEnvironment(); r.url == "" {
		return nil, fmt.Errorf("no report service: give --reports-url or HOLDFAST_REPORTS_URL, as in https://reports.example.com; `%s -n %s port-forward service/holdfast-reports 8443:443` makes one at https://localhost:8443",
			c.kubectl(), quoted(c.system))
	}
	o := reportsclient.Options{TokenFile: r.tokenFile, CAFile: r.caFile, UserAgent: "kubectl-holdfast/" + c.version}
	if r.tokenFile == "" {
		if namespace == "" {
			namespace = c.system
		}
		seconds := int64(tokenSeconds)
		review, err := c.clientset.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, reader,
			&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{reportsAudience}, ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
		if err != nil {
			return nil, fmt.Errorf("create a token of the account %s in %s: %w; docs/kubectl.md says how a namespace gets the account, and --reports-token-file takes another token", reader, namespace, err)
		}
		o.Token = review.Status.Token
	}
	return reportsclient.New(r.url, o)
}

// archive is where stored entries are read: the database, the report service, or nowhere.
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
	// there reports whether there is a store at all.
	there() bool
	// resources are the uids that a name has had, newest first.
	resources(ctx context.Context, namespace, name string) ([]postgres.Resource, error)
	// entries are those of a uid, in order.
	entries(ctx context.Context, uid string) ([]pastEntry, error)
	close()
}

func (a *archive) open(ctx context.Context, c *cluster, namespace string) (store, error) {
	if a.database.url != "" && a.reports.url != "" {
		return nil, errors.New("--database-url and --reports-url are both set, expected one")
	}
	flag := a.database.url != ""
	a.fromEnvironment()
	switch {
	case flag, a.reports.url == "" && a.address() != "":
		s, err := a.database.open(ctx)
		if err != nil {
			return nil, err
		}
		return &rows{s}, nil
	case a.reports.url == "":
		return nowhere{}, nil
	}
	client, err := a.client(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	return &service{client}, nil
}

type nowhere struct{}

func (nowhere) there() bool { return false }
func (nowhere) close()      {}
func (nowhere) resources(context.Context, string, string) ([]postgres.Resource, error) {
	return nil, nil
}
func (nowhere) entries(context.Context, string) ([]pastEntry, error) { return []pastEntry{}, nil }

// entriesAtOnce is a page of entries.
const entriesAtOnce = 500

type rows struct{ store *postgres.Store }

func (r *rows) there() bool { return true }
func (r *rows) close()      { r.store.Close() }

var everything = postgres.Readable{Everything: true}

func (r *rows) resources(ctx context.Context, namespace, name string) (all []postgres.Resource, err error) {
	err = r.store.Snapshot(ctx, everything, func(ctx context.Context, q *postgres.Snapshot) (err error) {
		all, err = q.Resources(ctx, "", namespace, name)
		return err
	})
	return all, err
}

func (r *rows) entries(ctx context.Context, uid string) ([]pastEntry, error) {
	all := []pastEntry{}
	err := r.store.Snapshot(ctx, everything, func(ctx context.Context, q *postgres.Snapshot) error {
		all = all[:0]
		var after *postgres.EntryPlace
		for {
			page, err := q.Entries(ctx, uid, after, entriesAtOnce)
			if err != nil {
				return err
			}
			for i := range page {
				all = append(all, storedEntry(&page[i]))
			}
			if len(page) < entriesAtOnce {
				return nil
			}
			place := page[len(page)-1].Place()
			after = &place
		}
	})
	return withoutRedriven(all), err
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

type service struct{ client *reportsclient.Client }

func (s *service) there() bool { return true }
func (s *service) close()      {}

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

func (s *service) entries(ctx context.Context, uid string) ([]pastEntry, error) {
	all := []pastEntry{}
	q := url.Values{"limit": {strconv.Itoa(entriesAtOnce)}}
	for {
		page, err := s.client.Entries(ctx, uid, q)
		var answered *reportsclient.Error
		if errors.As(err, &answered) && answered.Status == http.StatusNotFound {
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
	known, err := (&service{client}).resources(ctx, namespace, name)
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
