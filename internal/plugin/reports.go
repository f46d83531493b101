package plugin

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/portforward"
	"github.com/holdfast-dev/holdfast/internal/reportsclient"
)

// reports is where the report service is, and who asks. Without a URL it is the one of the cluster.
type reports struct {
	url, tokenFile, caFile, service string
	// token is the variable HOLDFAST_REPORTS_TOKEN, as holdfast dev sets it: for the service at url only, and only without a file.
	token string
}

func (r *reports) addFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.url, "reports-url", "", "URL of the report service (env HOLDFAST_REPORTS_URL; default: port-forward to the one of the cluster)")
	cmd.Flags().StringVar(&r.service, "reports-service", "", "name of its Service in --system-namespace (default: the one labelled as the manifests do)")
	cmd.Flags().StringVar(&r.tokenFile, "reports-token-file", "", "file with the token for it (env HOLDFAST_REPORTS_TOKEN_FILE, or the token itself in HOLDFAST_REPORTS_TOKEN with a URL; default: one of the account holdfast-reader)")
	cmd.Flags().StringVar(&r.caFile, "reports-ca-file", "", "PEM CA bundle for it (env HOLDFAST_REPORTS_CA_FILE; default: system roots, or the port-forward alone)")
}

// fromEnvironment fills what no flag gave.
func (r *reports) fromEnvironment() {
	for name, into := range map[string]*string{"HOLDFAST_REPORTS_URL": &r.url, "HOLDFAST_REPORTS_TOKEN_FILE": &r.tokenFile, "HOLDFAST_REPORTS_CA_FILE": &r.caFile, "HOLDFAST_REPORTS_TOKEN": &r.token} {
		if *into == "" {
			*into = strings.TrimSpace(os.Getenv(name))
		}
	}
}

// tokenAt is the token of the variable, for a service that has an address.
func (r *reports) tokenAt() string {
	if r.url == "" || r.tokenFile != "" {
		return ""
	}
	return r.token
}

// named reports whether a flag or a variable names a service.
func (r *reports) named() bool { return r.url != "" || r.service != "" }

// route is a way to the report service, with tokens.
type route struct {
	base    *url.URL
	options reportsclient.Options
	tokens  *tokens
	close   func()
}

// route finds the way, for the rows of a namespace, or of all (""). It asks for the first token.
func (r *reports) route(ctx context.Context, c *cluster, namespace string) (*route, error) {
	r.fromEnvironment()
	if err := c.connect(); err != nil && (r.url == "" || r.tokenFile == "" && r.token == "") {
		return nil, err
	}
	way := &route{options: reportsclient.Options{CAFile: r.caFile, UserAgent: "kubectl-holdfast/" + c.version}, tokens: &tokens{c: c, file: r.tokenFile, given: r.tokenAt(), namespace: namespace}, close: func() {}}
	if namespace == "" {
		way.tokens.namespace = c.system
	}
	address := r.url
	if r.url == "" {
		target, host, err := c.reportsTarget(ctx, r.service)
		if err != nil {
			return nil, err
		}
		forwarded := portforward.New(c.rest, c.clientset, target)
		if err := forwarded.Connect(ctx); err != nil {
			return nil, c.mayForward(ctx, err)
		}
		way.options.Dial, way.close = forwarded.DialContext, forwarded.Close
		address = "https://" + host
	}
	var err error
	if way.base, err = reportsclient.Address(address); err == nil {
		_, err = way.tokens.get(ctx)
	}
	if err != nil {
		way.close()
		return nil, err
	}
	return way, nil
}

// link is a client of the report service.
type link struct {
	*reportsclient.Client
	close func()
}

// link makes a client with one token, for a command that ends soon.
func (r *reports) link(ctx context.Context, c *cluster, namespace string) (*link, error) {
	way, err := r.route(ctx, c, namespace)
	if err != nil {
		return nil, err
	}
	o := way.options
	if o.Token, err = way.tokens.get(ctx); err == nil {
		var client *reportsclient.Client
		if client, err = reportsclient.New(way.base.String(), o); err == nil {
			return &link{client, way.close}, nil
		}
	}
	way.close()
	return nil, err
}

const (
	// reader is the account whose token opens the report service: whoever may create its tokens reads what it may read.
	reader = "holdfast-reader"
	// reportsAudience is what the service's tokens are made for.
	reportsAudience = "holdfast-reports"
	// tokenSeconds is the shortest time that an API server takes.
	tokenSeconds = 600
)

// tokens are those of the account holdfast-reader of a namespace, or what a file has. They are kept until a third of their time is left.
type tokens struct {
	c               *cluster
	file, namespace string
	// given is a token that nobody renews; "" if there is none.
	given string

	mu    sync.Mutex
	token string
	until time.Time
}

func (t *tokens) get(ctx context.Context) (string, error) {
	if t.file != "" {
		token, err := credential.TokenFile(t.file) // others renew it
		if err != nil {
			return "", fmt.Errorf("token of the report service (--reports-token-file): %w", err)
		}
		return token, nil
	}
	if t.given != "" {
		token, err := credential.Token(t.given)
		if err != nil {
			return "", fmt.Errorf("token of the report service (HOLDFAST_REPORTS_TOKEN): %w", err)
		}
		return token, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Now().Before(t.until) {
		return t.token, nil
	}
	seconds := int64(tokenSeconds)
	review, err := t.c.clientset.CoreV1().ServiceAccounts(t.namespace).CreateToken(ctx, reader,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{reportsAudience}, ExpirationSeconds: &seconds}}, metav1.CreateOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("the namespace %s has no account %s, whose token opens the report service; docs/kubectl.md#rights says how it gets one, and --reports-token-file takes another token", t.namespace, reader)
	case apierrors.IsForbidden(err):
		return "", fmt.Errorf("you may not create a token of the account %s in %s, which opens the report service (the ClusterRole holdfast-reader-token gives that right; docs/kubectl.md#rights): %w", reader, t.namespace, err)
	case err != nil:
		return "", fmt.Errorf("create a token of the account %s in %s: %w", reader, t.namespace, err)
	}
	t.token = review.Status.Token
	t.until = review.Status.ExpirationTimestamp.Add(-tokenSeconds / 3 * time.Second)
	return t.token, nil
}

// forget makes the next token a new one, if this is the one that was refused.
func (t *tokens) forget(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == token {
		t.token = ""
	}
}
