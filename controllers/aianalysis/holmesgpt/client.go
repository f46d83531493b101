package holmesgpt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/holdfast-dev/holdfast/controllers/aianalysis/investigator"
	"github.com/holdfast-dev/holdfast/internal/catalogue"
	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/outbox/entry"
)

// Name of this investigator, as resources and audit records have it.
const Name = "holmesgpt"

const (
	// DefaultTimeout is how long HolmesGPT may take: it calls a model several times, with tools in between.
	DefaultTimeout = 2 * time.Minute
	// maxBody is the longest answer that is read. It has the whole conversation with what the tools returned.
	maxBody = 16 << 20
	// maxAnalysis is the longest analysis in it, in bytes. What is kept of one has at most 58 KiB, but all of it is searched for credentials, at some 3 MiB a second.
	maxAnalysis = 4 << 20
	// maxQuoted is how much of a body an error quotes.
	maxQuoted = 512
)

// Client is the investigator. One serves all.
type Client struct {
	base      *url.URL
	catalogue *catalogue.Catalogue
	http      *http.Client
	timeout   time.Duration
	model     string
	// token is sent with each question, or what tokenFile holds then; both empty: none.
	token, tokenFile string
}

// Option changes a default.
type Option func(*Client)

// WithTimeout bounds one question; DefaultTimeout by default.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// WithModel asks a model of the server's modelList rather than its default.
func WithModel(name string) Option { return func(c *Client) { c.model = name } }

// WithToken sends this token, as HolmesGPT's HOLMES_API_KEY or a proxy before it asks for: Authorization: Bearer.
func WithToken(token string) Option { return func(c *Client) { c.token = token } }

// WithTokenFile reads the token from a file for each question, so that it can be rotated.
func WithTokenFile(path string) Option { return func(c *Client) { c.tokenFile = path } }

// WithTransport replaces the HTTP transport, for certificates of a server's own.
func WithTransport(t http.RoundTripper) Option { return func(c *Client) { c.http.Transport = t } }

// New makes the investigator for the server at address, such as http://holmes.monitoring:5050; a path is kept as a prefix. It does not call the server. Blanks and
// newlines around address and token are taken off. No error, of questions neither, has a part of the token, nor of the address more than the host.
func New(address string, cat *catalogue.Catalogue, options ...Option) (*Client, error) {
	base, err := credential.ServiceURL(address)
	if err != nil {
		return nil, fmt.Errorf("address of HolmesGPT (--investigator-url): %w, as in http://holmes.monitoring:5050", err)
	}
	c := &Client{
		base:      base,
		catalogue: cat,
		http:      &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		timeout:   DefaultTimeout,
	}
	for _, o := range options {
		o(c)
	}
	if c.token != "" {
		if c.token, err = credential.Token(c.token); err != nil {
			return nil, fmt.Errorf("token of HolmesGPT (--investigator-token): %w", err)
		}
	}
	if c.timeout <= 0 {
		return nil, fmt.Errorf("timeout of HolmesGPT (--investigator-timeout) is %s, expected more than nothing", c.timeout)
	}
	return c, nil
}

// Name is Name.
func (c *Client) Name() string { return Name }

// Timeout is how long an answer may take.
func (c *Client) Timeout() time.Duration { return c.timeout }

// Version is that of what is asked and how the answer is read. The server does not say its own.
const Version = "2"

// Config says what is asked beside the case: the prompt without the alert, the target, and what depends on the target's kind.
func (c *Client) Config() investigator.Config {
	return investigator.Config{Version: Version, PromptSHA256: entry.Hash([]byte(question(c.catalogue, investigator.Request{})))}
}

// Investigate asks. Errors wrap investigator.ErrAnswer when the server answered and the answer cannot be used.
func (c *Client) Investigate(ctx context.Context, q investigator.Request) (investigator.Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	token, err := c.readToken()
	if err != nil {
		return investigator.Finding{}, err
	}
	body, err := c.post(ctx, q, token)
	if err != nil {
		return investigator.Finding{}, fmt.Errorf("ask HolmesGPT: %w", err)
	}
	finding, err := read(body)
	if err != nil && credential.Repeats(err.Error(), token) {
		err = fmt.Errorf("%w: %s", investigator.ErrAnswer, credential.LeftOut)
	}
	if err != nil {
		return investigator.Finding{}, fmt.Errorf("read the answer of HolmesGPT: %w", err)
	}
	if finding.Model == "" {
		finding.Model = c.model
	}
	return finding, nil
}

func (c *Client) readToken() (string, error) {
	if c.tokenFile == "" {
		return c.token, nil
	}
	token, err := credential.TokenFile(c.tokenFile)
	if err != nil {
		return "", fmt.Errorf("token of HolmesGPT (--investigator-token-file): %w", err)
	}
	return token, nil
}

// chatRequest is the part of HolmesGPT's ChatRequest that is used.
type chatRequest struct {
	Ask            string         `json:"ask"`
	Model          string         `json:"model,omitempty"`
	ResponseFormat map[string]any `json:"response_format"`
	Stream         bool           `json:"stream"`
}

func (c *Client) post(ctx context.Context, q investigator.Request, token string) ([]byte, error) {
	text, err := json.Marshal(chatRequest{Ask: question(c.catalogue, q), Model: c.model, ResponseFormat: responseFormat(c.catalogue, q.Target.Kind)})
	if err != nil {
		return nil, fmt.Errorf("encode the question: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath("api", "chat").String(), bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("its address at %s makes no URL", c.base.Host)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", c.base.Host, credential.Cause(err))
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status is %d, expected 200: %s", resp.StatusCode, credential.Quote(investigator.Clean(string(body), maxQuoted), token))
	case err != nil:
		return nil, fmt.Errorf("read its answer: %w", credential.Cause(err))
	case len(body) > maxBody:
		return nil, fmt.Errorf("%w: it is longer than %d bytes", investigator.ErrAnswer, maxBody)
	}
	return body, nil
}
