package reportsclient

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/serving/httpapi"
)

// Options of a Client.
type Options struct {
	// TokenFile has the bearer token, Token is the token itself. At most one of them.
	TokenFile, Token string
	// CAFile has the certificates that the service's is signed by, PEM.
	CAFile string
	// UserAgent of the calls.
	UserAgent string
	// Dial connects instead of the network and its proxies: through something that leads to the service and nowhere else. Without CAFile the certificate is not checked then.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Client is safe for concurrent use.
type Client struct {
	base  *url.URL
	http  *http.Client
	token string
}

const (
	// answerBytes bounds what is read of an answer, lineBytes of a line of a stream.
	answerBytes = 256 << 20
	lineBytes   = 64 << 20
)

// New makes a client of the service at an address, as in https://reports.example.com. It does not connect. Its errors, and those of calls, have no part of a token.
func New(address string, o Options) (*Client, error) {
	base, err := Address(address)
	if err != nil {
		return nil, err
	}
	c := &Client{base: base}
	switch {
	case o.Token != "" && o.TokenFile != "":
		return nil, errors.New("--reports-token and --reports-token-file are both given, expected one token of the report service")
	case o.TokenFile != "":
		if c.token, err = credential.TokenFile(o.TokenFile); err != nil {
			return nil, fmt.Errorf("token of the report service (--reports-token-file): %w", err)
		}
	case o.Token != "":
		if c.token, err = credential.Token(o.Token); err != nil {
			return nil, fmt.Errorf("token of the report service (--reports-token): %w", err)
		}
	}
	transport, err := o.Transport()
	if err != nil {
		return nil, err
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// Address reads the address of a service, to which a token may go.
func Address(text string) (*url.URL, error) {
	base, err := credential.ServiceURL(text)
	if err != nil {
		return nil, fmt.Errorf("address of the report service (--reports-url): %w, as in https://reports.example.com", err)
	}
	if ip := net.ParseIP(base.Hostname()); base.Scheme == "http" && base.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("address of the report service (--reports-url) is one of http at %s, expected https: over plain HTTP anybody on the way could read the token", base.Host)
	}
	return base, nil
}

// Transport makes requests, without a token.
func (o Options) Transport() (http.RoundTripper, error) {
	if o.CAFile != "" {
		if err := credential.ReadableFile(o.CAFile); err != nil {
			return nil, fmt.Errorf("certificates of the report service (--reports-ca-file): %w", err)
		}
	}
	config := &rest.Config{UserAgent: o.UserAgent, TLSClientConfig: rest.TLSClientConfig{CAFile: o.CAFile}}
	if o.Dial != nil {
		config.Dial = o.Dial
		config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil }
		config.Insecure = o.CAFile == ""
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		return nil, fmt.Errorf("connections to the report service: %w", err)
	}
	return transport, nil
}

// Error is an answer that is no success.
type Error struct{ httpapi.Problem }

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("the report service answered %d %s", e.Status, e.Title)
	if e.Detail != "" {
		text += ": " + Printable(e.Detail)
	}
	return text
}

// Report is one report in a format.
func (c *Client) Report(ctx context.Context, id string, query url.Values) ([]byte, error) {
	reply, err := c.call(ctx, http.MethodGet, "/api/v2/rar/"+url.PathEscape(id), query, nil, "*/*")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	return c.read(reply)
}

// Trends are those of a window, in a format.
func (c *Client) Trends(ctx context.Context, query url.Values) ([]byte, error) {
	reply, err := c.call(ctx, http.MethodGet, "/api/v2/trends", query, nil, "*/*")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	return c.read(reply)
}

// Page is a page of a list.
type Page struct {
	Items []json.RawMessage `json:"items"`
	Next  *string           `json:"next"`
}

// List is a page of reports or summaries.
func (c *Client) List(ctx context.Context, query url.Values) (*Page, error) {
	return c.page(ctx, "/api/v2/rar", query)
}

// Resources are the uids that a name has had.
func (c *Client) Resources(ctx context.Context, query url.Values) (*Page, error) {
	return c.page(ctx, "/api/v2/resources", query)
}

// Entries is a page of the entries of the resource with a uid.
func (c *Client) Entries(ctx context.Context, uid string, query url.Values) (*Page, error) {
	return c.page(ctx, "/api/v2/resources/"+url.PathEscape(uid)+"/entries", query)
}

func (c *Client) page(ctx context.Context, path string, query url.Values) (*Page, error) {
	reply, err := c.call(ctx, http.MethodGet, path, query, nil, "application/json")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	text, err := c.read(reply)
	if err != nil {
		return nil, err
	}
	page := &Page{}
	if err := json.Unmarshal(text, page); err != nil {
		return nil, errors.New("the report service's answer is no page of a list")
	}
	return page, nil
}

// Line is a line of a batch: a report, or why there is none. The last has the counts, and Error is why there are none.
type Line struct {
	ID      string           `json:"id"`
	Status  int              `json:"status"`
	Report  json.RawMessage  `json:"report"`
	Problem *httpapi.Problem `json:"problem"`
	End     *Counts          `json:"end"`
	Error   *httpapi.Problem `json:"error"`
}

// Counts are those of a whole batch.
type Counts struct {
	Total    int `json:"total"`
	OK       int `json:"ok"`
	NotFound int `json:"not_found"`
	Failed   int `json:"failed"`
}

// Batch hands each line to visit, as it comes, and returns the counts. A stream that ends without them was cut, which is an error. Where the service answers with a job, the job's results are the lines.
func (c *Client) Batch(ctx context.Context, query url.Values, body any, visit func(text []byte, line *Line) error) (*Counts, error) {
	sent, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	reply, err := c.call(ctx, http.MethodPost, "/api/v2/rar/batch", query, sent, "application/x-ndjson")
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	if reply.StatusCode == http.StatusAccepted {
		return c.follow(ctx, reply, visit)
	}
	lines := bufio.NewScanner(reply.Body)
	lines.Buffer(nil, lineBytes)
	for lines.Scan() {
		line := &Line{}
		if err := json.Unmarshal(lines.Bytes(), line); err != nil {
			return nil, errors.New("the report service's answer is no batch")
		}
		switch {
		case line.End != nil:
			return line.End, nil
		case line.Error != nil:
			return nil, &Error{*line.Error}
		}
		if err := visit(lines.Bytes(), line); err != nil {
			return nil, err
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the report service's answer: %w", credential.Cause(err))
	}
	return nil, errors.New("the report service's answer was cut: its last line is missing; ask again for what is missing")
}

// call sends a request. Its error is an *Error where the service has answered.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body []byte, accept string) (*http.Response, error) {
	target := strings.TrimSuffix(c.base.String(), "/") + path // not JoinPath, which makes another path of an id with dots
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("call the report service at %s: its address and the path make no URL", c.base.Host)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	request.Header.Set("Accept", accept)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("call the report service at %s: %w", c.base.Host, credential.Cause(err))
	}
	if reply.StatusCode == http.StatusOK || reply.StatusCode == http.StatusAccepted {
		return reply, nil
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<20)) // what there is of it
	failed := &Error{}
	if err := json.Unmarshal(text, &failed.Problem); err != nil || failed.Title == "" || credential.Repeats(failed.Detail, c.token, ownWords) {
		failed = &Error{}
		failed.Title = http.StatusText(reply.StatusCode)
	}
	failed.Status = reply.StatusCode
	return nil, failed
}

// ownWords are those of the service's refusals for tokens. A token with three of these letters is no reason to leave them out.
const ownWords = "unauthenticated: expected a bearer token that the cluster accepts for the audience \"holdfast-reports\" authentication is not available"

func (c *Client) read(reply *http.Response) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(reply.Body, answerBytes))
	if err != nil {
		return nil, fmt.Errorf("read the report service's answer: %w", credential.Cause(err))
	}
	return text, nil
}
