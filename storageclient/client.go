package storageclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// Options of a Client. The zero value sends no token, and trusts the certificate authorities of the system.
type Options struct {
	// TokenFile has the bearer token, and is read for each call, since a projected ServiceAccount token changes; Token is one that does not change. One of them.
	TokenFile, Token string
	// CAFile has the certificates that the service's is signed by, PEM.
	CAFile string
	// SkipVerify takes any certificate; for an address of loopback only.
	SkipVerify bool
	// UserAgent of the requests.
	UserAgent string
}

// Client is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
	// token is asked for each call; "" is none.
	token func() (string, error)
}

// answerBytes is the maximum number of bytes read from a response.
const answerBytes = 16 << 20

// New returns a client of the service at a URL, such as https://storage.example.com. It does not connect. Blanks and newlines around URL and token are
// removed. Its errors, and those of calls, contain no part of a token, and only the host of the URL.
func New(address string, o Options) (*Client, error) {
	base, err := credential.ServiceURL(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("URL of the storage service (--store-url): %w, as in https://storage.example.com", err)
	case o.Token != "" && o.TokenFile != "":
		return nil, errors.New("--store-token and --store-token-file are both set, expected one; unset the other")
	case base.Scheme == "http" && !loopback(base):
		return nil, fmt.Errorf("URL of the storage service (--store-url) uses http for %s, expected https: plain HTTP would expose the token", base.Host)
	case o.SkipVerify && !loopback(base):
		return nil, fmt.Errorf("certificate verification is off (--store-insecure-skip-tls-verify) for %s, expected a loopback address; give --store-ca-file instead", base.Host)
	}
	c := &Client{base: base}
	if c.token, err = tokenOf(o); err != nil {
		return nil, err
	}
	if o.CAFile != "" {
		if err := credential.ReadableFile(o.CAFile); err != nil {
			return nil, fmt.Errorf("CA bundle of the storage service (--store-ca-file): %w", err)
		}
	}
	// client-go reads the certificates again as they change.
	transport, err := rest.TransportFor(&rest.Config{UserAgent: o.UserAgent, TLSClientConfig: rest.TLSClientConfig{CAFile: o.CAFile, Insecure: o.SkipVerify}})
	if err != nil {
		return nil, fmt.Errorf("storage service at %s: %w", base.Host, err)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return c, nil
}

// tokenOf checks the token, and returns what reads it. A file is read for each call: it is small, and then a token counts as soon as it is there.
func tokenOf(o Options) (func() (string, error), error) {
	if o.TokenFile != "" {
		read := func() (string, error) {
			token, err := credential.TokenFile(o.TokenFile)
			if err != nil {
				return "", fmt.Errorf("token of the storage service (--store-token-file): %w", err)
			}
			return token, nil
		}
		_, err := read()
		return read, err
	}
	if o.Token == "" {
		return func() (string, error) { return "", nil }, nil
	}
	token, err := credential.Token(o.Token)
	if err != nil {
		return nil, fmt.Errorf("token of the storage service (--store-token): %w", err)
	}
	return func() (string, error) { return token, nil }, nil
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Fault is one error in a request body. Pointer is a JSON pointer (RFC 6901); "" is the whole body.
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is a response that is not a success.
type Error struct {
	// Status of HTTP, and its words.
	Status int    `json:"status"`
	Title  string `json:"title"`
	// Detail says what happened, and what to do; Errors are the bad fields, and More counts those that are not among them.
	Detail string  `json:"detail"`
	Errors []Fault `json:"errors"`
	More   int     `json:"more"`

	after time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	text := fmt.Sprintf("the storage service answered %d %s", e.Status, e.Title)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	for _, f := range e.Errors[:min(3, len(e.Errors))] {
		text += fmt.Sprintf("; %s %s", strings.TrimPrefix(f.Pointer, "/"), f.Detail)
	}
	return text
}

// RetryAfter implements relay.Retry: the delay that the service asks for, or 0.
func (e *Error) RetryAfter() time.Duration { return e.after }

// post sends a body, which is JSON, and reads the answer into another. Errors are *Error, or those of the connection, after which nobody knows whether the service took it.
func (c *Client) post(ctx context.Context, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call the storage service at %s: its URL and the path %s do not form a valid URL", c.base.Host, path)
	}
	token, err := c.token()
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, application/problem+json")
	reply, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("call the storage service at %s: %w", c.base.Host, credential.Cause(err))
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, answerBytes))
	if err != nil {
		return fmt.Errorf("read the response of the storage service: %w", credential.Cause(err))
	}
	if reply.StatusCode != http.StatusOK && reply.StatusCode != http.StatusCreated {
		return refusal(reply, text, token)
	}
	err = json.Unmarshal(text, answer)
	if err != nil && credential.Repeats(err.Error(), token) {
		err = errors.New(credential.LeftOut)
	}
	if err != nil {
		return fmt.Errorf("read the response of the storage service: %w", err)
	}
	return nil
}

func refusal(reply *http.Response, text []byte, token string) error {
	e := &Error{}
	if err := json.Unmarshal(text, e); err != nil || e.Title == "" { // somebody else's: a proxy's, or that of an address where something else is
		e = &Error{Title: http.StatusText(reply.StatusCode)}
	}
	if e.repeats(token) {
		e = &Error{Title: http.StatusText(reply.StatusCode), Detail: credential.LeftOut}
	}
	e.Status = reply.StatusCode
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(reply.Header.Get("Retry-After")); err == nil {
		e.after = max(0, time.Until(at))
	}
	return e
}

// repeats looks at all that whoever has the error can read.
func (e *Error) repeats(token string) bool {
	texts := []string{e.Title, e.Detail}
	for _, f := range e.Errors {
		texts = append(texts, f.Pointer, f.Detail)
	}
	return slices.ContainsFunc(texts, func(text string) bool { return credential.Repeats(text, token, ownWords) })
}

// ownWords are those of the service's refusals for tokens. A token with three of these letters is no reason to leave them out.
const ownWords = "Unauthorized Forbidden Service Unavailable unauthenticated: expected a bearer token that the cluster accepts for the audience \"holdfast-storage\" forbidden: authentication is not available"
