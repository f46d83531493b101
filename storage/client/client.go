package client

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
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/rest"
)

// Options of a Client. The zero value calls without a token, and trusts the certificates that the system trusts.
type Options struct {
	// TokenFile has the bearer token, and is read again when it changes, as a projected ServiceAccount token does; Token is one that does not change. One of them.
	TokenFile, Token string
	// CAFile has the certificates that the service's is signed by, PEM.
	CAFile string
	// SkipVerify takes any certificate; for an address of loopback only.
	SkipVerify bool
	// UserAgent of the calls.
	UserAgent string
}

// Client is safe for concurrent use.
type Client struct {
	base *url.URL
	http *http.Client
}

// answerBytes bounds what is read of an answer.
const answerBytes = 16 << 20

// New makes a client of the service at an address, as in https://storage.example.com. It does not connect.
func New(address string, o Options) (*Client, error) {
	base, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("address of the storage service: %w", err)
	case base.Scheme != "https" && base.Scheme != "http" || base.Host == "":
		return nil, fmt.Errorf("address of the storage service is %q, expected one as in https://storage.example.com", address)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, fmt.Errorf("address of the storage service is %q, expected no user, query or fragment", base.Redacted())
	case o.Token != "" && o.TokenFile != "":
		return nil, errors.New("a token and a token file of the storage service exclude each other")
	case base.Scheme == "http" && !loopback(base):
		return nil, fmt.Errorf("address of the storage service is %q, expected https: over plain HTTP anybody on the way could read the token, and make rows of their own", address)
	case o.SkipVerify && !loopback(base):
		return nil, fmt.Errorf("the certificate of %s must be verified: any is taken on loopback only", base.Host)
	}
	// client-go reads the token file again as it changes.
	transport, err := rest.TransportFor(&rest.Config{
		Host: address, BearerToken: o.Token, BearerTokenFile: o.TokenFile, UserAgent: o.UserAgent,
		TLSClientConfig: rest.TLSClientConfig{CAFile: o.CAFile, Insecure: o.SkipVerify},
	})
	if err != nil {
		return nil, fmt.Errorf("storage service at %s: %w", base.Host, err)
	}
	return &Client{base: base, http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Fault is one thing that is wrong with a request's body. Pointer is a JSON pointer (RFC 6901); "" is the whole body.
type Fault struct {
	Pointer string `json:"pointer"`
	Detail  string `json:"detail"`
}

// Error is an answer that is no success.
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

// RetryAfter implements relay.Retry: how long the service asks to be left alone, 0 if it says nothing of it.
func (e *Error) RetryAfter() time.Duration { return e.after }

// post sends a body, which is JSON, and reads the answer into another. Errors are *Error, or those of the connection, after which nobody knows whether the service took it.
func (c *Client) post(ctx context.Context, path string, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("call the storage service: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json, application/problem+json")
	reply, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("call the storage service: %w", err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(io.LimitReader(reply.Body, answerBytes))
	if err != nil {
		return fmt.Errorf("read the storage service's answer: %w", err)
	}
	if reply.StatusCode != http.StatusOK && reply.StatusCode != http.StatusCreated {
		return refusal(reply, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("read the storage service's answer: %w", err)
	}
	return nil
}

func refusal(reply *http.Response, text []byte) error {
	e := &Error{}
	if err := json.Unmarshal(text, e); err != nil || e.Title == "" { // somebody else's: a proxy's, or that of an address where something else is
		e = &Error{Title: http.StatusText(reply.StatusCode)}
	}
	e.Status = reply.StatusCode
	if seconds, err := strconv.Atoi(reply.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(reply.Header.Get("Retry-After")); err == nil {
		e.after = max(0, time.Until(at))
	}
	return e
}
