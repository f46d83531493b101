package narrator

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"

	openai "github.com/sashabaranov/go-openai"

	"github.com/holdfast-dev/holdfast/internal/credential"
)

// client asks the server once for each call: it does not retry, follow redirects, or read more than a bounded answer.
type client struct {
	base             *url.URL
	model, tokenFile string
	outputTokens     int
	http             *http.Client
}

// reply is an answer of the model.
type reply struct {
	text          string
	input, output int64 // tokens, as the server says; 0 if it does not
	refused       bool
}

// failure is why a call brought no answer. Its reason is public and one of a few words; its cause is for the log.
type failure struct {
	reason string
	cause  error
}

func (f *failure) Error() string { return f.reason + ": " + f.cause.Error() }
func (f *failure) Unwrap() error { return f.cause }

func newClient(o *Options) (*client, error) {
	base, err := credential.ServiceURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("URL of the narrator (--narrator-url): %w, for example http://models.ai:8000/v1", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	transport.MaxConnsPerHost = 2 * o.Concurrency
	return &client{base: base, model: o.Model, tokenFile: o.TokenFile, outputTokens: o.OutputTokens, http: &http.Client{
		Transport:     &bounded{next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func (c *client) ask(ctx context.Context, messages []openai.ChatCompletionMessage) (*reply, error) {
	token := ""
	if c.tokenFile != "" {
		var err error
		if token, err = credential.TokenFile(c.tokenFile); err != nil {
			return nil, &failure{reasonUnavailable, fmt.Errorf("%w: %w", errNoToken, err)}
		}
	}
	config := openai.DefaultConfig(token)
	config.BaseURL, config.HTTPClient = c.base.String(), c.http
	answer, err := openai.NewClientWithConfig(config).CreateChatCompletion(ctx, openai.ChatCompletionRequest{
		Model: c.model, Messages: messages, MaxCompletionTokens: c.outputTokens,
		ResponseFormat: &openai.ChatCompletionResponseFormat{Type: openai.ChatCompletionResponseFormatTypeJSONSchema,
			JSONSchema: &openai.ChatCompletionResponseFormatJSONSchema{Name: "narrative", Schema: schema, Strict: true}},
	})
	if err != nil {
		return nil, failed(ctx, err)
	}
	r := &reply{input: tokens(answer.Usage.PromptTokens), output: tokens(answer.Usage.CompletionTokens)}
	if len(answer.Choices) == 0 {
		return r, nil
	}
	first := &answer.Choices[0]
	r.text, r.refused = first.Message.Content, first.Message.Refusal != "" || first.FinishReason == openai.FinishReasonContentFilter
	return r, nil
}

// unused reports whether a call that failed cannot have used tokens: there was no token to call with or no connection, or the server refused it with 4xx.
func unused(err error) bool {
	var status *statusError
	var dialled *net.OpError
	switch {
	case errors.As(err, &status):
		return status.code >= 400 && status.code < 500
	case errors.As(err, &dialled):
		return dialled.Op == "dial"
	}
	return errors.Is(err, errNoToken)
}

// tokens bounds what a server says that was used: it is somebody else's number.
func tokens(n int) int64 { return int64(min(max(n, 0), 10_000_000)) }

// failed says in a few words why there is no answer. Nothing of the server's text is repeated: it may have the token in it.
func failed(ctx context.Context, err error) error {
	var status *statusError
	var timeout interface{ Timeout() bool }
	switch {
	case errors.As(err, &status) && status.code == http.StatusTooManyRequests:
		return &failure{reasonOverQuota, status}
	case errors.As(err, &status):
		return &failure{reasonUnavailable, status}
	case errors.Is(err, errTooLong), errors.Is(err, errNotJSON):
		return &failure{reasonUnusable, err}
	case ctx.Err() != nil, errors.As(err, &timeout) && timeout.Timeout():
		return &failure{reasonTimeout, fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)}
	}
	var request *url.Error
	if errors.As(err, &request) {
		return &failure{reasonUnavailable, credential.Cause(err)}
	}
	return &failure{reasonUnusable, errors.New("the response cannot be read as a chat completion")}
}

// maxAnswer bounds a response in bytes.
const maxAnswer = 512 << 10

var (
	errNoToken = errors.New("token of the narrator (--narrator-token-file)")
	errTooLong = fmt.Errorf("the response has more than %d bytes", maxAnswer)
	errNotJSON = errors.New("the response is not application/json")
)

// statusError is a response with another status than 200.
type statusError struct{ code int }

func (s *statusError) Error() string { return fmt.Sprintf("status is %d, expected 200", s.code) }

// bounded refuses responses that are no JSON, and ends those that are too long.
type bounded struct{ next *http.Transport }

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	kind, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	switch {
	case answer.StatusCode != http.StatusOK:
		err = &statusError{answer.StatusCode}
	case err != nil || kind != "application/json":
		err = errNotJSON
	}
	if err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	answer.Body = &body{ReadCloser: answer.Body, left: maxAnswer}
	return answer, nil
}

type body struct {
	io.ReadCloser
	left int
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// CloseIdleConnections is for http.Client.
func (b *bounded) CloseIdleConnections() { b.next.CloseIdleConnections() }
