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
	"syscall"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/holdfast-dev/holdfast/internal/credential"
	"github.com/holdfast-dev/holdfast/internal/failpoint"
)

const (
	// answerBytes of a receiver's answer are read, the rest is left unread.
	answerBytes = 16 << 10
	// headerBytes bounds the header of an answer.
	headerBytes = 32 << 10
)

// errorCode is the form of the answers with which Slack explains a refusal ("invalid_payload"): the only text of a receiver that is repeated.
var errorCode = regexp.MustCompile(`^[a-z][a-z0-9_]{1,63}$`)

// slackCodes are those that Slack documents (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors). Three letters that a URL shares
// with one of them are no part of the URL that leaks.
const slackCodes = `invalid_payload user_not_found channel_not_found channel_is_archived action_prohibited posting_to_general_channel_denied
	too_many_attachments no_service no_service_id no_team team_disabled invalid_token no_text no_active_hooks rollup_error`

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

// post makes one attempt.
func (p *poster) post(ctx context.Context, m message, timeout time.Duration, body any, header http.Header) outcome {
	target, err := p.endpoint(ctx, m.nr.Namespace, m.secretRef())
	if err != nil {
		return failed(err.Error())
	}
	text, err := json.Marshal(body)
	if err != nil {
		return failed("the message does not encode to JSON").forGood()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(text))
	if err != nil {
		return failed("the URL makes no request")
	}
	maps.Copy(req.Header, header)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "holdfast")
	answer, err := p.http.Do(req)
	if err != nil {
		return failed(describe(err, timeout))
	}
	defer answer.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(answer.Body, answerBytes)) // the status is what counts; a body that breaks off changes nothing
	said = bytes.TrimSpace(said)
	if !errorCode.Match(said) || credential.Repeats(string(said), credential.Secrets(target), slackCodes) {
		said = nil
	}
	return p.judge(answer, string(said))
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
	reason := fmt.Sprintf("answered %d", code)
	if name := http.StatusText(code); name != "" {
		reason += " " + name
	}
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
