package notification

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/api/v1alpha1"
	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/failpoint"
)

const (
	// answerBytes of a receiver's answer are read, the rest is left unread.
	answerBytes = 16 << 10
	// headerBytes bounds the header of an answer.
	headerBytes = 32 << 10
)

// errorCode is the form in which Slack says why it refuses a message ("invalid_payload"): the only text of a receiver that is repeated.
var errorCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,63}$`)

// slackCodes are those that Slack documents (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors). Three letters that a URL shares
// with one of them are no part of the URL that leaks.
const slackCodes = `invalid_payload user_not_found channel_not_found channel_is_archived action_prohibited posting_to_general_channel_denied
	too_many_attachments invalid_blocks invalid_blocks_format no_service no_service_id no_team team_disabled invalid_token no_text no_active_hooks rollup_error`

// poster posts JSON to URLs that Secrets hold.
type poster struct {
	live  client.Reader
	clock clock.PassiveClock
	http  *http.Client
	allow addressPolicy
}

func newPoster(live client.Reader, c clock.PassiveClock, allow addressPolicy) *poster {
	dialer := &net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error { return allow.check(address) }}
	return &poster{live: live, clock: c, allow: allow, http: &http.Client{
		Transport: failpoint.HTTP("post webhook", &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			TLSHandshakeTimeout:    30 * time.Second,
			MaxResponseHeaderBytes: headerBytes,
			// A connection that is used again makes the transport repeat a request on its own, since Idempotency-Key tells it that it
			// may: an attempt that nobody wrote down.
			DisableKeepAlives: true,
		}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// post makes one attempt. confirms reports whether the body of a 2xx answer says that the message was taken; nil: the status says it.
func (p *poster) post(ctx context.Context, m message, timeout time.Duration, body any, header http.Header, confirms func(said []byte) bool) outcome {
	target, err := p.endpoint(ctx, m.nr.Namespace, m.secretRef())
	if err != nil {
		return failed(err.Error())
	}
	text := &bytes.Buffer{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false) // people read it in the receiver's log, too
	if err := encoder.Encode(body); err != nil {
		return failed("the message cannot be encoded as JSON").forGood()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), text)
	if err != nil {
		return failed("cannot build a request from the URL")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast")
	answer, err := p.http.Do(req)
	if err != nil {
		return failed(describe(err, timeout))
	}
	defer answer.Body.Close()
	said, broken := io.ReadAll(io.LimitReader(answer.Body, answerBytes))
	said = bytes.TrimSpace(said)
	code := codeIn(said)
	if credential.Repeats(code, credential.Secrets(target), slackCodes) {
		code = ""
	}
	o := p.judge(answer, code)
	if o.state == v1alpha1.AttemptSucceeded && confirms != nil && (broken != nil || !confirms(said)) {
		o = failed(fmt.Sprintf("%s, but without the expected ok in the response: %s", status(answer.StatusCode), inOurWords(said, code, broken)))
		o.code = int32(answer.StatusCode)
	}
	return o
}

// codeIn is the error code that an answer consists of, or that its JSON has as error, "" if there is none.
func codeIn(said []byte) string {
	var object struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(said, &object) == nil && errorCode.MatchString(object.Error) {
		return object.Error
	}
	if errorCode.Match(said) {
		return string(said)
	}
	return ""
}

// inOurWords says what an answer is without repeating it: a page of an internal server is none of the business of who chose the URL, and it may have the URL in it.
func inOurWords(said []byte, code string, broken error) string {
	switch {
	case broken != nil:
		return "the response ended early"
	case code != "":
		return code
	case len(said) == 0:
		return "the response is empty"
	case strings.HasPrefix(http.DetectContentType(said), "text/html"):
		return "the response is an HTML page"
	case json.Valid(said):
		return "the response is other JSON"
	}
	return "the response is other text"
}

// status is as in "answered 200 OK".
func status(code int) string {
	if name := http.StatusText(code); name != "" {
		return fmt.Sprintf("answered %d %s", code, name)
	}
	return fmt.Sprintf("answered %d", code)
}

// judge reads the status: 2xx is delivered; a server's failure, 408, 425 and 429 may pass; all else, redirects too, is for good. errorCode is what the receiver said,
// if that may be repeated.
func (p *poster) judge(answer *http.Response, errorCode string) outcome {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		o := succeeded()
		o.code = int32(code)
		return o
	}
	reason := status(code)
	if errorCode != "" {
		reason += ": " + errorCode
	}
	if code >= 300 && code < 400 {
		reason += "; redirects are not followed"
	}
	o := failed(reason)
	o.code = int32(code)
	switch {
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		o.retryAfter = parseRetryAfter(answer.Header.Get("Retry-After"), p.clock.Now())
		return o
	}
	return o.forGood()
}
