package holmesgpt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/holdfast-dev/holdfast/catalogue"
	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
)

// Name of this investigator, as resources and audit records have it.
const Name = "holmesgpt"

const (
	// DefaultTimeout is how long HolmesGPT may take: it calls a model several times, with tools in between.
	DefaultTimeout = 2 * time.Minute
	// maxBody is the longest answer that is read. It has the whole conversation with what the tools returned.
	maxBody = 16 << 20
	// maxQuoted is how much of a body an error quotes.
	maxQuoted = 512
	maxToken  = 16 << 10
)

// Client is the investigator. One serves all.
type Client struct {
	endpoint  string
	catalogue *catalogue.Catalogue
	http      *http.Client
	timeout   time.Duration
	model     string
	token     func() (string, error)
}

// Option changes a default.
type Option func(*Client)

// WithTimeout bounds one question; DefaultTimeout by default.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithModel asks a model of the server's modelList rather than its default.
func WithModel(name string) Option { return func(c *Client) { c.model = name } }

// WithToken sends this token, as HolmesGPT's HOLMES_API_KEY or a proxy before it asks for: Authorization: Bearer.
func WithToken(token string) Option {
	return func(c *Client) { c.token = func() (string, error) { return token, nil } }
}

// WithTokenFile reads the token from a file for each question, so that it can be rotated.
func WithTokenFile(path string) Option {
	return func(c *Client) { c.token = func() (string, error) { return readToken(path) } }
}

// WithTransport replaces the HTTP transport, for certificates of a server's own.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.http.Transport = t } }

// New makes the investigator for the server at address, such as http://holmes.monitoring:5050; a path is kept as a prefix. It does not call the server.
func New(address string, cat *catalogue.Catalogue, options ...Option) (*Client, error) {
	base, err := url.Parse(address)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("address of HolmesGPT is %q, expected a URL such as http://holmes.monitoring:5050", address)
	}
	if base.User != nil {
		return nil, errors.New("address of HolmesGPT has a user, expected none; give a token instead")
	}
	c := &Client{
		endpoint:  base.JoinPath("api", "chat").String(),
		catalogue: cat,
		http:      &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		timeout:   DefaultTimeout,
		token:     func() (string, error) { return "", nil },
	}
	for _, o := range options {
		o(c)
	}
	if c.timeout <= 0 {
		return nil, fmt.Errorf("timeout of HolmesGPT is %s, expected more than nothing", c.timeout)
	}
	return c, nil
}

// Name is Name.
func (c *Client) Name() string { return Name }

// Timeout is how long an answer may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Investigate asks. Errors wrap investigator.ErrAnswer when the server answered and the answer cannot be used.
func (c *Client) Investigate(ctx context.Context, q investigator.Request) (investigator.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	body, err := c.post(ctx, q)
	if err != nil {
		return investigator.Finding{}, fmt.Errorf("ask HolmesGPT: %w", err)
	}
	finding, err := read(body)
	if err != nil {
		return investigator.Finding{}, fmt.Errorf("read the answer of HolmesGPT: %w", err)
	}
	if finding.Model == "" {
		finding.Model = c.model
	}
	return finding, nil
}

// chatRequest is the part of HolmesGPT's ChatRequest that is used.
type chatRequest struct {
	Ask            string         `json:"ask"`
	Model          string         `json:"model,omitempty"`
	ResponseFormat map[string]any `json:"response_format"`
	Stream         bool           `json:"stream"`
}

func (c *Client) post(ctx context.Context, q investigator.Request) ([]byte, error) {
	text, err := json.Marshal(chatRequest{Ask: question(c.catalogue, q), Model: c.model, ResponseFormat: responseFormat(c.catalogue, q.Target.Kind)})
	if err != nil {
		return nil, fmt.Errorf("encode the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	token, err := c.token()
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status is %d, expected 200: %s", resp.StatusCode, investigator.Clean(string(body), maxQuoted))
	case err != nil:
		return nil, err
	case len(body) > maxBody:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", investigator.ErrAnswer, maxBody)
	}
	return body, nil
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the token of HolmesGPT: %w", err)
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxToken))
	if err != nil {
		return "", fmt.Errorf("read the token of HolmesGPT: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
